"""What Sweep looks for: messages that nobody looks after any more, and databases that are older than they should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.audit import write_audit
from db.tables import Message, Run, SweepCount
from domain.plan import Plan
from domain.states import RUNS_THAT_SEND, HoldReason, RunState

OVERDUE_BY = timedelta(seconds=5)
"""A workflow's own timer comes first; a message that is later than this has nobody."""
LEASE = timedelta(seconds=30)
"""Nudged ones are found again after this, should the nudge not have moved them."""

_ACTIVE = [*RUNS_THAT_SEND, RunState.CANCELLED]
_RESTORED = "restored_database"


@dataclass(frozen=True, slots=True)
class Overdue:
    message_id: UUID
    channel: str
    ended: bool
    """It has ended and its workflow was not told: nudge it, but do not start one."""


def take_overdue(session: Session, limit: int) -> list[Overdue]:
    """A page of those who wait for nothing, marked as nudged so that the next page brings others."""
    now = func.clock_timestamp()
    due = and_(Message.due_at < now - OVERDUE_BY, or_(Message.ended_at.is_not(None), Run.state.in_(_ACTIVE)))
    page = session.execute(
        select(Message, Run.plan)
        .join(Run)
        .where(or_(due, and_(Message.ended_at.is_(None), _held_for_nothing())))
        .where(or_(Message.nudged_at.is_(None), Message.nudged_at < now - LEASE))
        .order_by(Message.due_at)
        .limit(limit)
        .with_for_update(of=Message, skip_locked=True)
    ).all()
    ids = [message.id for message, _ in page]
    session.execute(update(Message).where(Message.id.in_(ids)).values(nudged_at=now))
    return [
        Overdue(message.id, Plan.model_validate(plan).first_channel(message.addresses), message.ended_at is not None)
        for message, plan in page
    ]


def count_unmoved(session: Session, message_ids: Sequence[UUID]) -> int:
    """Those of a page that nobody has looked at since they were nudged."""
    unmoved = select(func.count()).where(Message.id.in_(message_ids), Message.nudged_at.is_not(None))
    return session.scalar(unmoved) or 0


def forget_told(session: Session, message_ids: Sequence[UUID]) -> None:
    """Ended messages whose workflow has ended too: nobody needs to be told."""
    session.execute(
        update(Message)
        .where(Message.id.in_(message_ids), Message.ended_at.is_not(None))
        .values(due_at=None, hold_reason=None, nudged_at=None)
    )


def count_sweep(session: Session, remembered: int | None) -> tuple[int, int]:
    """(count now, runs paused). A database that knows fewer sweeps than Temporal remembers was restored."""
    known = session.scalar(select(SweepCount.count).where(SweepCount.id == 1).with_for_update()) or 0
    paused = _pause_all(session) if remembered is not None and known < remembered else 0
    count = max(known, remembered or 0) + 1
    row = insert(SweepCount).values(id=1, count=count)
    session.execute(row.on_conflict_do_update(index_elements=[SweepCount.id], set_={"count": count}))
    return count, paused


def _held_for_nothing() -> ColumnElement[bool]:
    sends = Run.state.in_(RUNS_THAT_SEND)
    is_released = Message.position <= func.coalesce(Run.released_up_to, Message.position)
    return or_(
        and_(Message.hold_reason.in_([HoldReason.PAUSED, HoldReason.NOT_STARTED]), sends),
        and_(Message.hold_reason == HoldReason.NOT_RELEASED, sends, is_released),
        and_(Message.hold_reason.is_not(None), Run.state == RunState.CANCELLED),
    )


def _pause_all(session: Session) -> int:
    """What was sent after the backup is not known here: nothing more may go out before a person has looked."""
    paused = session.scalars(
        update(Run)
        # Those at a gate too: an undo window ends by itself. And those not begun: they may have been, since the backup.
        .where(or_(Run.state.in_([RunState.SCHEDULED, RunState.QUEUED, *RUNS_THAT_SEND]), Run.gate.is_not(None)))
        .values(
            state=RunState.PAUSED,
            state_reason=_RESTORED,
            gate=None,
            resumes_at=None,
            paused_at=func.coalesce(Run.paused_at, func.clock_timestamp()),
        )
        .returning(Run.id)
    ).all()
    for run_id in paused:
        write_audit(session, "sweep", "pause", run_id, reason=_RESTORED)
    return len(paused)
