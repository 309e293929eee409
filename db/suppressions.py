"""The suppression list: what gets nothing, on any campaign. Hashes only: the list itself gives nobody away."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import locks
from db.attention import make_due
from db.audit import write_audit
from db.engine import transaction
from db.tables import Suppression
from domain.addresses import checked
from domain.hashing import AddressHasher
from domain.persons import PERSON
from domain.problems import ProblemError
from domain.suppression import Reason, Source, checked_reason

EXPORTED_AT_ONCE = 2000


class NotSuppressedError(ProblemError):
    def __init__(self, channel: str) -> None:
        super().__init__(f"this {channel} address is not on the suppression list: there is nothing to lift")


class SuppressionView(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    channel: str
    """`person`: the whole person, on all channels."""
    address_hash: str
    reason: str
    source: str
    since: datetime
    run_id: UUID | None
    """By whose message it came about."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    entry: SuppressionView
    already: bool
    waiting: list[UUID]
    """The person's messages that are due now, so that they end."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One line of a list."""

    channel: str
    address_hash: str
    reason: str


def suppress(
    session: Session,
    hash_address: AddressHasher,
    channel: str,
    address: str,
    *,
    actor: str,
    reason: str = Reason.OPERATOR,
) -> Suppressed:
    """An operator's word; under the channel `person` the address is a person's key.

    After it is committed nothing more is claimed for them. Raises BadAddressError and BadReasonError.
    """
    address, reason = checked(channel, address), checked_reason(reason)
    if channel == PERSON:
        locks.hold_person(session, address)
    address_hash = hash_address(channel, address)
    added = put_down(session, NewEntry(channel, address_hash, reason), Source.OPERATOR)
    if added:
        write_audit(session, actor, "suppress", None, channel=channel, address_hash=address_hash, reason=reason)
    waiting = make_due(session, address) if channel == PERSON else []
    entry = session.get_one(Suppression, (channel, address_hash))
    return Suppressed(SuppressionView.model_validate(entry), not added, waiting)


def lift(session: Session, channel: str, address_hash: str, *, actor: str) -> SuppressionView:
    """Take it off the list; the audit log keeps why it was there. Raises NotSuppressedError."""
    taken_off = delete(Suppression).where(Suppression.channel == channel, Suppression.address_hash == address_hash)
    entry = session.scalar(taken_off.returning(Suppression))
    if entry is None:
        raise NotSuppressedError(channel)
    lifted = SuppressionView.model_validate(entry)
    write_audit(
        session,
        actor,
        "lift",
        None,
        **lifted.model_dump(mode="json", include={"channel", "address_hash", "reason", "source", "since"}),
    )
    return lifted


def put_down(session: Session, entry: NewEntry, source: Source, run_id: UUID | None = None) -> bool:
    """False: it is there already. What a provider said gives way to what a person or an operator says."""
    said = {"reason": entry.reason, "source": source, "run_id": run_id}
    row = insert(Suppression).values(channel=entry.channel, address_hash=entry.address_hash, **said)
    stronger = row.on_conflict_do_update(
        index_elements=[Suppression.channel, Suppression.address_hash],
        set_={**said, "since": func.clock_timestamp()},
        where=Suppression.source == Source.PROVIDER,
    )
    return session.scalar(stronger.returning(Suppression.channel)) is not None


def put_down_many(session: Session, entries: Sequence[NewEntry]) -> int:
    """Of an imported list; how many were new."""
    rows = {
        (each.channel, each.address_hash): {
            "channel": each.channel,
            "address_hash": each.address_hash,
            "reason": each.reason,
            "source": Source.IMPORT,
        }
        for each in entries
    }
    if not rows:
        return 0
    new = insert(Suppression).values(list(rows.values())).on_conflict_do_nothing().returning(Suppression.channel)
    return len(session.scalars(new).all())


def list_suppressions(
    session: Session,
    limit: int,
    *,
    channel: str | None = None,
    reason: str | None = None,
    after: tuple[datetime, str, str] | None = None,
) -> list[SuppressionView]:
    """The newest first; `after` is (since, channel, address_hash) of the last one of the page before."""
    place = tuple_(Suppression.since, Suppression.channel, Suppression.address_hash)
    query = select(Suppression).order_by(*(column.desc() for column in place.clauses)).limit(limit)
    if channel is not None:
        query = query.where(Suppression.channel == channel)
    if reason is not None:
        query = query.where(Suppression.reason == reason)
    if after is not None:
        query = query.where(place < after)
    return [SuppressionView.model_validate(entry) for entry in session.scalars(query)]


def export_suppressions(engine: Engine) -> Iterator[SuppressionView]:
    """All of them, in pages of a transaction each: whoever reads slowly holds nothing open."""
    place, after = tuple_(Suppression.channel, Suppression.address_hash), ("", "")
    while True:
        query = select(Suppression).where(place > after).order_by(*place.clauses).limit(EXPORTED_AT_ONCE)
        with transaction(engine) as session:
            page = [SuppressionView.model_validate(entry) for entry in session.scalars(query)]
        yield from page
        if len(page) < EXPORTED_AT_ONCE:
            return
        after = (page[-1].channel, page[-1].address_hash)
