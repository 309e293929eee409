"""What the database knows of a person when a message to them is decided, read in the transaction that decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Integer, func, select
from sqlalchemy.orm import Session

from db.tables import Attempt, Consent, Message, Run, Suppression
from domain.hashing import AddressHasher
from domain.persons import PERSON, PersonFacts, RecentSend
from domain.plan import Plan

_COUNTS_FOR_CAPS = ("sending", "sent", "delivered", "expired", "unknown")
_PROVIDER = "provider"


def look_up_person(
    session: Session, message: Message, plan: Plan, now: datetime, hash_address: AddressHasher
) -> PersonFacts:
    """One statement, and one more for each of caps and consent where the plan has them."""
    barred = _barred(session, message, hash_address)
    return PersonFacts(
        zone=message.zone,
        zone_candidates=tuple(message.zone_candidates),
        is_person=message.person_key is not None,
        recent_sends=_recent_sends(session, message, plan, now),
        rejected={channel: frozenset(addresses) for channel, addresses in barred.dead.items()},
        suppressed=barred.suppressed,
        suppressed_because=barred.person,
        consents=_consents(session, message, plan, hash_address),
    )


@dataclass(slots=True)
class _Barred:
    dead: dict[str, set[str]] = field(default_factory=dict)
    suppressed: dict[str, dict[str, str]] = field(default_factory=dict)
    person: str | None = None


def _barred(session: Session, message: Message, hash_address: AddressHasher) -> _Barred:
    hashes = _hashes(message, hash_address)
    query = select(Suppression.address_hash, Suppression.reason, Suppression.source)
    barred = _Barred()
    for address_hash, reason, source in session.execute(query.where(Suppression.address_hash.in_(hashes))):
        channel, address = hashes[address_hash]
        if channel == PERSON:
            barred.person = reason
        elif source == _PROVIDER:
            barred.dead.setdefault(channel, set()).add(address)
        else:
            barred.suppressed.setdefault(channel, {})[address] = reason
    return barred


def _hashes(message: Message, hash_address: AddressHasher) -> Mapping[str, tuple[str, str]]:
    """Of all that may be suppressed: each address, and the person as a whole."""
    whose = {PERSON: [message.person_key]} if message.person_key is not None else {}
    return {
        hash_address(channel, address): (channel, address)
        for channel, addresses in {**message.addresses, **whose}.items()
        for address in addresses
    }


def _recent_sends(session: Session, message: Message, plan: Plan, now: datetime) -> tuple[RecentSend, ...]:
    """One for each other message that was, or may have been, handed over to this person, the oldest first."""
    if not plan.caps or plan.bypass_frequency_caps or message.person_key is None:
        return ()
    since = now - timedelta(days=max(cap.days for cap in plan.caps))
    query = (
        select(func.min(Attempt.claimed_at), _priority())
        .join(Run, Run.id == Attempt.run_id)
        .where(
            Attempt.person_key == message.person_key,
            Attempt.message_id != message.id,
            Attempt.claimed_at > since,
            Attempt.state.in_(_COUNTS_FOR_CAPS),
        )
        .group_by(Attempt.message_id, Run.id)
    )
    return tuple(sorted(RecentSend(at, priority) for at, priority in session.execute(query)))


def _priority() -> ColumnElement[int]:
    """Of the sending run; one whose plan was frozen before there were priorities has the usual one."""
    stored = Run.plan["priority"].astext.cast(Integer)
    return func.coalesce(stored, Plan.model_fields["priority"].default)


def _consents(session: Session, message: Message, plan: Plan, hash_address: AddressHasher) -> dict[str, bool]:
    if plan.consent is None or message.person_key is None:
        return {}
    said = select(Consent.channel, Consent.granted).where(
        Consent.person_hash == hash_address(PERSON, message.person_key), Consent.purpose == plan.consent.purpose
    )
    return dict(session.execute(said).all())
