"""A run's audience: its rows as they come, page by page, and then a message for each recipient."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from uuid import UUID

from sqlalchemy import Boolean, Text, case, cast, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from db import locks
from db.control import withdraw_planned
from db.devices import addresses_by_owner
from db.gates import first_to_go, let_go
from db.runs import get_run, plan_of
from db.tables import AudienceRow, Message, Outcome, Run
from domain.audience import merge, united_addresses
from domain.holdout import connected_groups, is_held_out
from domain.ids import message_id_of
from domain.message import Recipient
from domain.outcomes import Arm
from domain.states import RunState

_SHARED_AT_ONCE = 5000


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


def has_messages(session: Session, run_id: UUID) -> bool:
    """Then all rows were there before: the first message is made when the last page is stored."""
    return session.scalar(select(Message.id).where(Message.run_id == run_id).limit(1)) is not None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who of a run's recipients is held out, by groups that share a subject."""

    run: str = ""
    """Its workflow's id."""
    percent: float = 0
    groups: Mapping[str, str] = field(default_factory=dict)

    def group(self, recipient_id: str) -> str:
        return self.groups.get(recipient_id, recipient_id)

    def holds_out(self, recipient_id: str) -> bool:
        return is_held_out(self.run, self.group(recipient_id), self.percent)


NOBODY_HELD_OUT = Assignment()


def refresh_statistics(session: Session) -> None:
    """Else the planner, which knows of earlier runs alone, takes a run of a million new rows for one of none."""
    session.execute(text("set local lock_timeout = '1min'"))  # another run's may be under way
    session.execute(text("analyze drumbeat.audience, drumbeat.outcomes, drumbeat.messages"))


def assign(session: Session, run_id: UUID) -> Assignment:
    """The same in a second try, since the rows are all there by now."""
    run = get_run(session, run_id)
    percent = plan_of(session, run_id).holdout_percent
    if not percent:
        return NOBODY_HELD_OUT
    shared = (
        select(func.array_agg(AudienceRow.recipient_id))
        .where(AudienceRow.run_id == run_id, AudienceRow.subject != "")
        .group_by(AudienceRow.subject)
        .having(func.count() > 1)
        .execution_options(yield_per=_SHARED_AT_ONCE)
    )
    return Assignment(run.workflow_id, percent, connected_groups(session.scalars(shared)))


def add_messages(
    session: Session,
    run_id: UUID,
    channels: Sequence[str],
    limit: int = 500,
    assignment: Assignment = NOBODY_HELD_OUT,
) -> int:
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
        | {"held_out": assignment.holds_out(each.id)}
        for offset, each in enumerate(merged, start=1)
    ]
    if rows:
        session.execute(insert(Message), rows)
        _name_groups(session, run_id, assignment, [each.id for each in merged])
    return len(rows)


def close_snapshot(session: Session, run_id: UUID, left_out: Mapping[str, int], noted: Mapping[str, int]) -> int:
    """Count what is targeted, once and for all, and let the run go as far as its first gate.

    Not where somebody has paused or cancelled it.
    """
    locks.share_run(session, run_id)
    targeted = session.scalar(select(func.count()).where(Message.run_id == run_id)) or 0
    run, plan = get_run(session, run_id), plan_of(session, run_id)
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.targeted.is_(None))
        .values(targeted=targeted, left_out=dict(left_out), noted=dict(noted), **first_to_go(run, plan, targeted))
    )
    counted = get_run(session, run_id)
    now = session.scalars(select(func.clock_timestamp())).one()
    session.execute(
        update(Run).where(Run.id == run_id, Run.state == RunState.QUEUED).values(**let_go(counted, plan, now))
    )
    if counted.cancelled_at is not None:  # in the middle of the snapshot: what was added since is withdrawn too
        withdraw_planned(session, run_id, counted.cancelled_at)
    return targeted


def _name_groups(session: Session, run_id: UUID, assignment: Assignment, recipients: Sequence[str]) -> None:
    """Each outcome gets its group and arm, where anybody is held out at all."""
    if not assignment.percent:
        return
    given = func.unnest(
        cast(list(recipients), ARRAY(Text)),
        cast([assignment.group(each) for each in recipients], ARRAY(Text)),
        cast([assignment.holds_out(each) for each in recipients], ARRAY(Boolean)),
    )
    rows = given.table_valued("recipient_id", "group_key", "held_out").render_derived()
    session.execute(
        update(Outcome)
        .where(Outcome.run_id == run_id, Outcome.subject == AudienceRow.subject)
        .where(AudienceRow.run_id == run_id, AudienceRow.recipient_id == rows.c.recipient_id)
        .values(group_key=rows.c.group_key, arm=case((rows.c.held_out, Arm.HELD_OUT), else_=Arm.TREATED))
        .execution_options(synchronize_session=False)
    )


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
    return replace(recipient, addresses=addresses, zone_candidates=tuple(recipient.zone_candidates))


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
        "zone_candidates": list(recipient.zone_candidates),
        "language": recipient.language,
    }
