"""What people have said of a purpose, each on a channel or on all of them. The person stands there as a keyed hash."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import locks
from db.attention import make_due
from db.audit import write_audit
from db.tables import Consent
from domain.addresses import checked_person
from domain.consents import ALL_CHANNELS, checked_consent_channel, checked_purpose
from domain.hashing import AddressHasher
from domain.persons import PERSON
from domain.suppression import Source


class ConsentView(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    purpose: str
    channel: str
    """`*`: all that are not named themselves. A no to all takes back each yes to one."""
    granted: bool
    source: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Word:
    """What somebody says of one purpose."""

    purpose: str
    granted: bool
    channel: str = ALL_CHANNELS


@dataclass(frozen=True, slots=True)
class ConsentNoted:
    consent: ConsentView
    already: bool
    waiting: list[UUID]
    """The person's messages that are looked at anew now."""


def note_consent(session: Session, hash_address: AddressHasher, person: str, word: Word, *, actor: str) -> ConsentNoted:
    """It holds for every claim from its commit on. Raises BadAddressError and BadConsentError."""
    person_hash = hash_address(PERSON, checked_person(person))
    purpose, channel = checked_purpose(word.purpose), checked_consent_channel(word.channel)
    locks.hold_person(session, person)
    row = insert(Consent).values(
        person_hash=person_hash, purpose=purpose, channel=channel, granted=word.granted, source=Source.OPERATOR
    )
    changed = row.on_conflict_do_update(
        index_elements=[Consent.person_hash, Consent.purpose, Consent.channel],
        set_={"granted": word.granted, "source": Source.OPERATOR, "since": func.clock_timestamp()},
        where=Consent.granted != word.granted,
    )
    new = session.scalar(changed.returning(Consent.purpose)) is not None
    if channel == ALL_CHANNELS and not word.granted:
        new = _take_back_each(session, person_hash, purpose) or new
    if new:
        said = {"purpose": purpose, "channel": channel, "granted": word.granted}
        write_audit(session, actor, "consent", None, person=person_hash, **said)
    entry = session.get_one(Consent, (person_hash, purpose, channel))
    waiting = make_due(session, person) if new else []
    return ConsentNoted(ConsentView.model_validate(entry), not new, waiting)


def _take_back_each(session: Session, person_hash: str, purpose: str) -> bool:
    """A no to all channels is one to those too that had a yes of their own; whether there was any."""
    given = Consent.person_hash == person_hash, Consent.purpose == purpose, Consent.granted
    return bool(session.scalars(delete(Consent).where(*given).returning(Consent.channel)).all())


def consents_of(session: Session, person_hash: str) -> list[ConsentView]:
    """All that this person has said, the oldest first."""
    query = select(Consent).where(Consent.person_hash == person_hash).order_by(Consent.since, Consent.purpose)
    return [ConsentView.model_validate(entry) for entry in session.scalars(query)]
