"""What the database knows of a person when a message to them is decided, read in the transaction that decides."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Row, func, select
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
    (person,) = look_up_people(session, [message], plan, now, hash_address)
    return person


def look_up_people(
    session: Session, messages: Sequence[Message], plan: Plan, now: datetime, hash_address: AddressHasher
) -> list[PersonFacts]:
    """The same of each of these messages of one run, in as many statements."""
    barred = _barred(session, messages, hash_address)
    sends = _recent_sends(session, messages, plan, now)
    consents = _consents(session, messages, plan, hash_address)
    return [
        PersonFacts(
            zone=message.zone,
            zone_candidates=tuple(message.zone_candidates),
            is_person=message.person_key is not None,
            recent_sends=_of_others(message, sends),
            rejected={channel: frozenset(addresses) for channel, addresses in of_message.dead.items()},
            suppressed=of_message.suppressed,
            suppressed_because=of_message.person,
            consents=consents.get(message.person_key or "", {}),
        )
        for message, of_message in zip(messages, barred, strict=True)
    ]


@dataclass(slots=True)
class _Barred:
    dead: dict[str, set[str]] = field(default_factory=dict)
    suppressed: dict[str, dict[str, str]] = field(default_factory=dict)
    person: str | None = None


def _barred(session: Session, messages: Sequence[Message], hash_address: AddressHasher) -> list[_Barred]:
    hashes = [_hashes(message, hash_address) for message in messages]
    query = select(Suppression.address_hash, Suppression.reason, Suppression.source)
    asked = {address_hash for of_message in hashes for address_hash in of_message}
    listed = {row[0]: row for row in session.execute(query.where(Suppression.address_hash.in_(asked)))}
    return [_barred_of(of_message, listed) for of_message in hashes]


def _barred_of(hashes: Mapping[str, Sequence[tuple[str, str]]], listed: Mapping[str, Row[str, str, str]]) -> _Barred:
    barred = _Barred()
    for address_hash in hashes.keys() & listed.keys():
        _, reason, source = listed[address_hash]
        for channel, address in hashes[address_hash]:
            if channel == PERSON:
                barred.person = reason
            elif source == _PROVIDER:
                barred.dead.setdefault(channel, set()).add(address)
            else:
                barred.suppressed.setdefault(channel, {})[address] = reason
    return barred


def _hashes(message: Message, hash_address: AddressHasher) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Of all that may be suppressed: each address, and the person as a whole. Spellings of one address share a hash."""
    whose = {PERSON: [message.person_key]} if message.person_key is not None else {}
    places: dict[str, list[tuple[str, str]]] = {}
    for channel, addresses in {**message.addresses, **whose}.items():
        for address in addresses:
            places.setdefault(hash_address(channel, address), []).append((channel, address))
    return places


_Sends = Mapping[str, list[tuple[UUID, RecentSend]]]
"""By person, with the message that was sent."""


def _recent_sends(session: Session, messages: Sequence[Message], plan: Plan, now: datetime) -> _Sends:
    """One for each message that was, or may have been, handed over to these people."""
    keys = {message.person_key for message in messages if message.person_key is not None}
    if not plan.caps or plan.bypass_frequency_caps or not keys:
        return {}
    since = now - timedelta(days=max(cap.days for cap in plan.caps))
    query = (
        select(Attempt.person_key, Attempt.message_id, func.min(Attempt.claimed_at), _priority())
        .join(Run, Run.id == Attempt.run_id)
        .where(
            Attempt.person_key.in_(keys),
            Attempt.claimed_at > since,
            Attempt.state.in_(_COUNTS_FOR_CAPS),
        )
        .group_by(Attempt.person_key, Attempt.message_id, Run.id)
    )
    sends: dict[str, list[tuple[UUID, RecentSend]]] = defaultdict(list)
    for person_key, message_id, at, priority in session.execute(query):
        sends[person_key or ""].append((message_id, RecentSend(at, priority)))
    return sends


def _of_others(message: Message, sends: _Sends) -> tuple[RecentSend, ...]:
    """The oldest first."""
    return tuple(sorted(send for sent, send in sends.get(message.person_key or "", ()) if sent != message.id))


def _priority() -> ColumnElement[int]:
    """Of the sending run; one whose plan was frozen before there were priorities has the usual one."""
    stored = Run.plan["priority"].astext.cast(Integer)
    return func.coalesce(stored, Plan.model_fields["priority"].default)


def _consents(
    session: Session, messages: Sequence[Message], plan: Plan, hash_address: AddressHasher
) -> Mapping[str, dict[str, bool]]:
    """By person."""
    keys = {message.person_key for message in messages if message.person_key is not None}
    if plan.consent is None or not keys:
        return {}
    whose = {hash_address(PERSON, key): key for key in keys}
    said = select(Consent.person_hash, Consent.channel, Consent.granted).where(
        Consent.person_hash.in_(whose), Consent.purpose == plan.consent.purpose
    )
    consents: dict[str, dict[str, bool]] = defaultdict(dict)
    for person_hash, channel, granted in session.execute(said):
        consents[whose[person_hash]][channel] = granted
    return consents
