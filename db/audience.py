"""A run's audience: its rows as they come, page by page, and then a message for each recipient."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from uuid import UUID

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import locks
from db.control import withdraw_planned
from db.devices import addresses_by_owner
from db.tables import AudienceRow, Message, Run
from domain.audience import merge, united_addresses
from domain.ids import message_id_of
from domain.message import Recipient
from domain.states import RunState


def store_rows(session: Session, run_id: UUID, recipients: Sequence[Recipient]) -> None:
    """A page may come twice: a row that is there already stays as it is.

    Several rows of one recipient on one subject (a lock mapped with two tokens) come in one page, and become one.
    """
    together: dict[tuple[str, str], list[Recipient]] = defaultdict(list)
    for each in recipients:
        together[each.id, each.subject].append(each)
    rows = [
        {
            "run_id": run_id,
            "recipient_id": recipient_id,
            "subject": subject,
            "shuffled": _shuffled(recipient_id),
            "row": asdict(merge(same)),
        }
        for (recipient_id, subject), same in together.items()
    ]
    if rows:
        session.execute(insert(AudienceRow).on_conflict_do_nothing(), rows)


def add_messages(session: Session, run_id: UUID, channels: Sequence[str], limit: int = 500) -> int:
    """The messages of the next `limit` recipients that have none yet; how many were added, 0 at the end.

    A recipient's own registered devices are added to their addresses, as far as the ladder has such a channel.
    """
    placed = session.execute(
        select(Message.position, Message.recipient_id)
        .where(Message.run_id == run_id)
        .order_by(Message.position.desc())
        .limit(1)
    ).one_or_none()
    position, last = (placed.position, placed.recipient_id) if placed else (0, None)
    merged = _next_recipients(session, run_id, last, limit)
    devices = addresses_by_owner(session, [each.person_key for each in merged if each.person_key])
    rows = [
        _message_row(run_id, position + offset, _with_devices(each, devices, channels))
        for offset, each in enumerate(merged, start=1)
    ]
    if rows:
        session.execute(insert(Message), rows)
    return len(rows)


def close_snapshot(session: Session, run_id: UUID, left_out: Mapping[str, int], noted: Mapping[str, int]) -> int:
    """Count what is targeted, once and for all, and let the run go, unless somebody has paused or cancelled it."""
    locks.share_run(session, run_id)
    targeted = session.scalar(select(func.count()).where(Message.run_id == run_id)) or 0
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.targeted.is_(None))
        .values(targeted=targeted, left_out=dict(left_out), noted=dict(noted))
    )
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.state == RunState.QUEUED)
        .values(state=RunState.RUNNING, state_reason=None)
    )
    cancelled_at = session.scalar(select(Run.cancelled_at).where(Run.id == run_id))
    if cancelled_at is not None:  # in the middle of the snapshot: what was added since is withdrawn too
        withdraw_planned(session, run_id, cancelled_at)
    return targeted


def _shuffled(recipient_id: str) -> str:
    """A fixed shuffle: a canary takes the first positions, and they must be a fair sample of everybody."""
    return hashlib.blake2b(recipient_id.encode(), digest_size=8).hexdigest()


def _next_recipients(session: Session, run_id: UUID, last: str | None, limit: int) -> list[Recipient]:
    place = (AudienceRow.shuffled, AudienceRow.recipient_id)
    page = select(*place).where(AudienceRow.run_id == run_id).distinct().order_by(*place).limit(limit)
    if last is not None:
        page = page.where(tuple_(*place) > tuple_(_shuffled(last), last))
    chosen = page.subquery()
    rows = session.scalars(
        select(AudienceRow.row)
        .join(chosen, chosen.c.recipient_id == AudienceRow.recipient_id)
        .where(AudienceRow.run_id == run_id)
        .order_by(chosen.c.shuffled, AudienceRow.recipient_id, AudienceRow.subject)
    )
    recipients = (_recipient(row) for row in rows)
    return [merge(list(group)) for _, group in groupby(recipients, key=lambda each: each.id)]


def _recipient(row: dict[str, object]) -> Recipient:
    recipient = Recipient(**row)  # type: ignore[arg-type] # written by store_rows
    addresses = {channel: tuple(addresses) for channel, addresses in recipient.addresses.items()}
    return replace(recipient, addresses=addresses)


def _with_devices(
    recipient: Recipient, devices: Mapping[str, Mapping[str, tuple[str, ...]]], channels: Sequence[str]
) -> Recipient:
    own = devices.get(recipient.person_key or "")
    if own is None:
        return recipient
    reachable = {channel: addresses for channel, addresses in own.items() if channel in channels}
    return replace(
        recipient,
        addresses=united_addresses([recipient.addresses, reachable]),
        acknowledges=recipient.acknowledges or bool(reachable),
    )


def _message_row(run_id: UUID, position: int, recipient: Recipient) -> dict[str, object]:
    return {
        "id": message_id_of(run_id, recipient.id),
        "run_id": run_id,
        "position": position,
        "recipient_id": recipient.id,
        "person_key": recipient.person_key,
        "facts": dict(recipient.facts),
        "addresses": dict(recipient.addresses),
        "acknowledges": recipient.acknowledges,
        "zone": recipient.zone,
        "language": recipient.language,
    }
