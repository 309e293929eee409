"""One person over all campaigns: their rows, gathered so that they can be told."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import exists, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from db.consents import ConsentView, consents_of
from db.erasure import of_person
from db.lives import life_of
from db.messages import AttemptView, MessageView
from db.suppressions import SuppressionView
from db.tables import Acknowledgement, ApiKey, Attempt, AuditEntry, Click, Deferral, Message, Run, Suppression
from domain.addresses import checked_person
from domain.hashing import AddressHasher
from domain.persons import PERSON
from domain.story import Absent, Consented, Listed, MessageLife, PersonLife, tell
from domain.tombstones import tombstone

T = TypeVar("T")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Line(_View):
    at: datetime
    sentence: str
    run: str | None
    message_id: UUID | None


class PersonMessage(_View):
    campaign: str
    run: str
    """campaign-slot."""
    run_id: UUID
    message: MessageView
    attempts: list[AttemptView]


class PersonStory(_View):
    person: str
    known: bool
    """False: nothing was ever decided for them, and they have said nothing."""
    story: list[Line]
    """The oldest first."""
    messages: list[PersonMessage]
    """The newest first."""
    suppressions: list[SuppressionView]
    consents: list[ConsentView]
    person_hash: str
    """As the suppression list and the audit log name them."""


def story_of(
    session: Session, hash_address: AddressHasher, person: str, *, campaign: str | None = None, limit: int = 20
) -> PersonStory:
    """Over their newest `limit` messages. Raises BadAddressError."""
    person_hash = hash_address(PERSON, checked_person(person))
    now = session.scalars(select(func.clock_timestamp())).one()
    rows = _messages(session, person, campaign, limit)
    ids = [message.id for message, _ in rows]
    attempts = _by_message(session.scalars(select(Attempt).where(Attempt.message_id.in_(ids)).order_by(Attempt.number)))
    listed = _listed(session, hash_address, person_hash, [message for message, _ in rows])
    consents = consents_of(session, person_hash)
    erased_at = _erasures(session, person_hash)
    life = PersonLife(
        person,
        messages=_lives(session, rows, attempts),
        listed=[told for _, told in listed],
        consents=[Consented(each.since, each.purpose, each.channel, each.granted) for each in consents],
        absent=_absent(session, person, person_hash, campaign),
        erased_at=erased_at,
    )
    return PersonStory(
        person=person,
        known=bool(rows or listed or consents or erased_at),
        story=[Line(**asdict(each)) for each in tell(life, now)],
        messages=[_person_message(message, run, attempts.get(message.id, [])) for message, run in rows],
        suppressions=[entry for entry, _ in listed],
        consents=consents,
        person_hash=person_hash,
    )


def _messages(session: Session, person: str, campaign: str | None, limit: int) -> list[tuple[Message, Run]]:
    query = select(Message, Run).join(Run).where(of_person(person))
    if campaign is not None:
        query = query.where(Run.campaign == campaign)
    newest = query.order_by(Message.created_at.desc(), Message.id).limit(limit)
    return [(message, run) for message, run in session.execute(newest)]


def _lives(
    session: Session, rows: Sequence[tuple[Message, Run]], attempts: Mapping[UUID, list[Attempt]]
) -> list[MessageLife]:
    ids, runs = [message.id for message, _ in rows], [run.id for _, run in rows]
    deferrals = _by_message(session.scalars(select(Deferral).where(Deferral.message_id.in_(ids)).order_by(Deferral.id)))
    clicks = _by_message(session.scalars(select(Click).where(Click.message_id.in_(ids)).order_by(Click.id)))
    of_attempts = [each.id for group in attempts.values() for each in group]
    acknowledgements: dict[UUID, list[Acknowledgement]] = defaultdict(list)
    for each in session.scalars(select(Acknowledgement).where(Acknowledgement.attempt_id.in_(of_attempts))):
        acknowledgements[each.attempt_id].append(each)
    audit: dict[UUID, list[tuple[AuditEntry, str | None]]] = defaultdict(list)
    entries = select(AuditEntry, ApiKey.name).outerjoin(ApiKey, ApiKey.id == AuditEntry.actor)
    for entry, name in session.execute(entries.where(AuditEntry.run_id.in_(runs)).order_by(AuditEntry.id)):
        if entry.run_id is not None:
            audit[entry.run_id].append((entry, name))
    return [
        life_of(
            message,
            run,
            attempts.get(message.id, []),
            deferrals=deferrals.get(message.id, []),
            acknowledgements=acknowledgements,
            clicks=clicks.get(message.id, []),
            audit=audit[run.id],
        )
        for message, run in rows
    ]


def _by_message(rows: Iterable[T]) -> dict[UUID, list[T]]:
    found: dict[UUID, list[T]] = defaultdict(list)
    for row in rows:
        found[row.message_id].append(row)  # type: ignore[attr-defined] # each of these tables has it
    return found


def _listed(
    session: Session, hash_address: AddressHasher, person_hash: str, messages: Iterable[Message]
) -> list[tuple[SuppressionView, Listed]]:
    """Of the person, and of the addresses that their messages had."""
    hashes = {(PERSON, person_hash): ""}
    for message in messages:
        for channel, addresses in message.addresses.items():
            hashes |= {(channel, hash_address(channel, address)): address for address in addresses}
    query = select(Suppression).where(Suppression.address_hash.in_({found for _, found in hashes}))
    entries = [SuppressionView.model_validate(entry) for entry in session.scalars(query.order_by(Suppression.since))]
    return [
        (entry, Listed(entry.since, entry.channel, hashes[place], entry.reason, entry.source))
        for entry in entries
        if (place := (entry.channel, entry.address_hash)) in hashes
    ]


def _erasures(session: Session, person_hash: str) -> list[datetime]:
    erased = AuditEntry.action == "erase", AuditEntry.details["person"].astext == person_hash
    return list(session.scalars(select(AuditEntry.at).where(*erased).order_by(AuditEntry.id)))


def _absent(session: Session, person: str, person_hash: str, campaign: str | None) -> list[Absent]:
    """The newest run of each campaign, where neither they nor their tombstone is in its audience."""
    newest = select(Run.id).where(Run.targeted.is_not(None)).ext(distinct_on(Run.campaign))
    if campaign is not None:
        newest = newest.where(Run.campaign == campaign)
    newest = newest.order_by(Run.campaign, Run.created_at.desc())
    theirs = or_(of_person(person), Message.person_key == tombstone(person_hash))
    without_them = select(Run).where(Run.id.in_(newest), ~exists().where(Message.run_id == Run.id, theirs))
    return [
        Absent(run.started_at or run.created_at, run.campaign, f"{run.campaign}-{run.slot}")
        for run in session.scalars(without_them)
    ]


def _person_message(message: Message, run: Run, attempts: Iterable[Attempt]) -> PersonMessage:
    return PersonMessage(
        campaign=run.campaign,
        run=f"{run.campaign}-{run.slot}",
        run_id=run.id,
        message=MessageView.model_validate(message),
        attempts=[AttemptView.model_validate(each) for each in attempts],
    )
