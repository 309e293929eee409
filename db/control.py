"""Pause, resume, cancel, release: the run's row, changed under its exclusive lock, because every claim reads it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.errors import LockNotAvailable
from sqlalchemy import Engine, Select, case, exists, func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db import locks, resuming
from db.audit import write_audit
from db.engine import transaction
from db.gates import let_go
from db.runs import RunView, plan_of
from db.tables import Attempt, Message, Run
from domain.clock import ClockPolicy, RunClock
from domain.hand_over import HAND_OVER_LIMIT, HAND_OVER_MARGIN
from domain.launching import Gate
from domain.problems import NoSuchRunError, RunIsBusyError, WrongStateError
from domain.states import AttemptState, MessageState, RunState

_OVER = {RunState.CANCELLED, RunState.CLOSED, RunState.FAILED}
_MAY_STILL_BE_HANDED_OVER = HAND_OVER_LIMIT + HAND_OVER_MARGIN
_LOOK_EVERY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Paused:
    in_flight: int
    """Messages in a provider's hands whose outcome is not recorded yet; no further one is handed over."""
    already: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    policy: ClockPolicy
    paused_seconds: float
    """By how much the deadlines have moved, over all pauses."""
    held: int
    """Messages that waited for this, and go on now."""
    awaiting: int
    """Messages that were sent and whose deadline is still ahead."""
    overdue: int
    """Messages that were sent and whose deadline has passed: they go to their next rung, where there is one."""
    ended: int
    """Messages that were overdue and that this has ended."""
    waits_for: str | None = None
    """What the run still waits for, paused, before its first send."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    withdrawn: int
    awaiting: int
    """Messages that were sent and whose answer is still awaited; no further rung follows."""
    in_flight: int
    already: bool


def pause(engine: Engine, run_id: UUID, actor: str, reason: str = "operator") -> Paused:
    """After this has returned, no further message of the run is handed to a provider."""
    with held_run(engine, run_id, "pause") as (session, run, now):
        already = run.state == RunState.PAUSED
        if not already:
            if run.state in _OVER:
                raise WrongStateError("pause", run.state, "it sends nothing any more")
            _set(session, run_id, state=RunState.PAUSED, state_reason=reason, paused_at=now)
            write_audit(session, actor, "pause", run_id, reason=reason)
        elif run.gate is not None:  # one that would go on by itself, or by somebody else's word
            _set(session, run_id, state_reason=reason, gate=None, resumes_at=None)
            write_audit(session, actor, "pause", run_id, reason=reason, was_at=run.gate)
    return Paused(_wait_for_hand_overs(engine, run_id, now), already)


def resume(engine: Engine, run_id: UUID, actor: str, policy: ClockPolicy = ClockPolicy.SHIFT) -> Resumed:
    """Go on; the policy says what becomes of the deadlines. Whoever calls this wakes Sweep, which wakes the held."""
    with held_run(engine, run_id, "resume") as (session, run, now):
        if run.state != RunState.PAUSED or run.paused_at is None:
            raise WrongStateError("resume", run.state, "only a paused run can be resumed")
        if run.gate is Gate.APPROVAL:
            remedy = f"it awaits that somebody else than {run.started_by} approves it: `drumbeat approve {run_id}`"
            raise WrongStateError("resume", run.state, remedy)
        clock = RunClock(run.paused_total, run.paused_at).resumed(now, policy)
        goes_on = let_go(run, plan_of(session, run_id), now)
        _set(session, run_id, paused_total=clock.paused_total, **goes_on)
        ended = resuming.expire_overdue(session, run, now) if policy is ClockPolicy.EXPIRE_OVERDUE else 0
        awaiting, overdue = resuming.count_sent(session, run_id, clock.run_time(now))
        held = _count(session, run_id, Message.hold_reason == "paused", Message.ended_at.is_(None))
        paused_seconds = (now - run.paused_at).total_seconds()
        write_audit(session, actor, "resume", run_id, policy=policy, paused_seconds=paused_seconds, ended=ended)
    waits_for = str(goes_on["state_reason"]) if goes_on["state"] is RunState.PAUSED else None
    return Resumed(policy, clock.paused_total.total_seconds(), held, awaiting, overdue, ended, waits_for)


def cancel(engine: Engine, run_id: UUID, actor: str) -> Cancelled:
    """Withdraw all that was not sent, and stop further rungs. What was sent is still awaited to its deadline."""
    withdrawn = 0
    with held_run(engine, run_id, "cancel") as (session, run, now):
        already = run.state == RunState.CANCELLED
        if not already:
            if run.state in _OVER:
                raise WrongStateError("cancel", run.state, "it has ended")
            paused = now - run.paused_at if run.paused_at else timedelta()
            total = run.paused_total + paused
            _set(
                session,
                run_id,
                state=RunState.CANCELLED,
                state_reason=None,
                cancelled_at=now,
                gate=None,
                resumes_at=None,
                paused_at=None,
                paused_total=total,
            )
            withdrawn = withdraw_planned(session, run_id, now)
            write_audit(session, actor, "cancel", run_id, withdrawn=withdrawn)
    in_flight = _wait_for_hand_overs(engine, run_id, now)
    with transaction(engine) as session:
        awaiting = _count(session, run_id, Message.state == MessageState.SENT, Message.ended_at.is_(None))
    return Cancelled(withdrawn, awaiting, in_flight, already)


def release(engine: Engine, run_id: UUID, actor: str, up_to: int | None) -> int:
    """Let messages up to this position go (None: all); how many of the audience are released then."""
    with held_run(engine, run_id, "release more of") as (session, run, _):
        if run.state in _OVER:
            raise WrongStateError("release more of", run.state, "it has ended")
        if up_to is not None and (run.released_up_to is None or up_to < run.released_up_to):
            released = "all" if run.released_up_to is None else run.released_up_to
            raise WrongStateError("take back a part of", run.state, f"{released} are released already")
        _set(session, run_id, released_up_to=up_to, canary=None)
        write_audit(session, actor, "release", run_id, up_to=up_to)
        return min(run.targeted or 0, up_to) if up_to is not None else run.targeted or 0


@contextmanager
def held_run(engine: Engine, run_id: UUID, action: str) -> Iterator[tuple[Session, RunView, datetime]]:
    """The run under its exclusive lock, which waits for the claims in flight and lets no later one through."""
    try:
        with transaction(engine) as session:
            locks.hold_run(session, run_id)
            # The row too: a run that comes to its end just now is moved on without the advisory lock.
            run = session.scalar(select(Run).where(Run.id == run_id).with_for_update())
            if run is None:
                raise NoSuchRunError(str(run_id))
            now = session.scalars(select(func.clock_timestamp())).one()
            # A copy: the row itself would change with the update.
            yield session, RunView.model_validate(run), now
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise RunIsBusyError(action) from error
        raise


def _wait_for_hand_overs(engine: Engine, run_id: UUID, stopped_at: datetime) -> int:
    """Until no try that was claimed before can still be on its way to a provider; how many have no outcome then.

    It ends in any case: a claim is young for so long, and a later one belongs to whoever resumed the run since.
    """
    claimed_before = Attempt.claimed_at <= stopped_at
    young = Attempt.claimed_at > func.clock_timestamp() - _MAY_STILL_BE_HANDED_OVER
    while True:
        with transaction(engine) as session:
            if not session.scalar(_sending(run_id).where(claimed_before, young)):
                return session.scalar(_sending(run_id).where(claimed_before)) or 0
        time.sleep(_LOOK_EVERY_SECONDS)


def _sending(run_id: UUID) -> Select[int]:
    return select(func.count()).where(Attempt.run_id == run_id, Attempt.state == AttemptState.SENDING)


def withdraw_planned(session: Session, run_id: UUID, now: datetime) -> int:
    """End what is planned; what already has a workflow stays due, so that Sweep ends that too."""
    uncertain = exists().where(Attempt.message_id == Message.id, Attempt.state == AttemptState.UNKNOWN)
    has_workflow = Message.due_at.is_not(None) | Message.hold_reason.is_not(None)
    ended = session.execute(
        update(Message)
        .where(Message.run_id == run_id, Message.state == MessageState.PLANNED, Message.ended_at.is_(None))
        .values(
            state=case((uncertain, MessageState.UNKNOWN), else_=MessageState.WITHDRAWN),
            state_reason="run_cancelled",
            ended_at=now,
            due_at=case((has_workflow, now), else_=None),
        )
        .returning(Message.state)
    ).scalars()
    return sum(state == MessageState.WITHDRAWN for state in ended)


def _count(session: Session, run_id: UUID, *conditions: object) -> int:
    query = select(func.count()).where(Message.run_id == run_id, *conditions)  # type: ignore[arg-type]
    return session.scalar(query) or 0


def _set(session: Session, run_id: UUID, **values: object) -> None:
    session.execute(update(Run).where(Run.id == run_id).values(**values))
