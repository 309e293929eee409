"""A run's launch with care: approved by a second person, let go after its undo window, its canary, its thresholds."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, Select, func, or_, select, update
from sqlalchemy.orm import Session

from db.audit import write_audit
from db.control import held_run, pause
from db.engine import transaction
from db.gates import let_go
from db.runs import RunView, get_run, plan_of
from db.tables import Message, Run
from db.watched import watched_figures
from domain.launching import Gate, awaits_approval, canary_watched_until, tripped, watches
from domain.plan import Plan
from domain.problems import SecondKeyNeededError, WrongStateError
from domain.states import PUT_OFF_BY_A_PERSON, RUNS_THAT_SEND, MessageState, RunState

ITSELF = "drumbeat"
"""The actor of what a run does by itself."""
_OVER = {RunState.CANCELLED, RunState.CLOSED, RunState.FAILED}


@dataclass(frozen=True, slots=True)
class Approved:
    targeted: int
    state: str
    waits_for: str | None
    """What it still waits for, paused."""


class LaunchStand(BaseModel):
    """What a run waits for before it sends to everybody; without words."""

    model_config = ConfigDict(frozen=True)

    gate: Gate | None = None
    """It is paused until this is passed."""
    resumes_at: datetime | None = None
    """When the undo window is over."""
    canary: int | None = None
    """How many go first."""
    canary_waiting: int = 0
    """Those of them that are still to be tried, but for whom their own rules put off."""
    others_go_at: datetime | None = None
    """When the others follow, unless a threshold is passed; None: not before all of the canary were handed over."""


def launch_stand(session: Session, run: RunView) -> LaunchStand | None:
    """None: it waits for nothing of the kind."""
    if run.gate is not None:
        return LaunchStand(gate=run.gate, resumes_at=run.resumes_at)
    if run.canary is None or run.state not in {RunState.PAUSED, *RUNS_THAT_SEND}:
        return None
    waiting = session.scalar(select(func.count()).select_from(_waiting(run.id, run.canary).subquery())) or 0
    until = _watched_until(run, plan_of(session, run.id)) if run.state in RUNS_THAT_SEND else None
    return LaunchStand(canary=run.canary, canary_waiting=waiting, others_go_at=until)


def approve(engine: Engine, run_id: UUID, actor: str) -> Approved:
    """Let a large run go that somebody else has started. Raises WrongStateError and SecondKeyNeededError."""
    with held_run(engine, run_id, "approve") as (session, run, now):
        targeted = _must_await_approval(session, run)
        if run.started_by == actor:
            raise SecondKeyNeededError(actor)
        approved = run.model_copy(update={"approved_by": actor})
        _set(session, run_id, approved_by=actor)
        write_audit(session, actor, "approve", run_id, targeted=targeted)
        if run.gate is Gate.APPROVAL:  # else somebody has paused it, and it stays so
            _let_go(session, approved, now)
        stands = get_run(session, run_id)
    still_paused = stands.state is RunState.PAUSED and stands.gate is None
    return Approved(
        targeted, stands.state, "somebody has paused it: `drumbeat resume`" if still_paused else stands.state_reason
    )


def end_undo_window(engine: Engine, run_id: UUID) -> None:
    """Begin to send, where the window is over and nobody has cancelled or paused the run in it."""
    with held_run(engine, run_id, "end the undo window of") as (session, run, now):
        if run.gate is Gate.UNDO and run.resumes_at is not None and run.resumes_at <= now:
            _let_go(session, run, now)
            write_audit(session, ITSELF, "resume", run_id, policy="shift", reason="the undo window is over")


def look_after_launch(engine: Engine, run_id: UUID) -> datetime | None:
    """Whatever a run does by itself now: begin after its undo window, halt, release the others after its canary.

    When to look again at the latest, where a moment is known.
    """
    with transaction(engine) as session:
        run, plan = get_run(session, run_id), plan_of(session, run_id)
    if run.gate is Gate.UNDO:
        end_undo_window(engine, run_id)
    elif run.state in RUNS_THAT_SEND and (watches(plan.halt) or run.canary is not None):
        _watch(engine, run_id, plan)
    with transaction(engine) as session:
        return _known_moment(get_run(session, run_id), plan)


def _watch(engine: Engine, run_id: UUID, plan: Plan) -> None:
    with transaction(engine) as session:
        # Before the figures: what they are is then what all of the canary came to.
        _note_settled_canary(session, run_id)
        run = get_run(session, run_id)
        reason = tripped(plan.halt, watched_figures(session, run, plan)) if watches(plan.halt) else None
    if reason is None:
        _end_canary(engine, run_id, plan)
        return
    try:
        pause(engine, run_id, ITSELF, reason)
    except WrongStateError:
        return  # it has come to its end meanwhile


def _note_settled_canary(session: Session, run_id: UUID) -> None:
    canary = session.scalar(select(Run.canary).where(Run.id == run_id, Run.canary_settled_at.is_(None)))
    if canary is None or session.execute(_waiting(run_id, canary).limit(1)).first() is not None:
        return
    if session.execute(_tried(run_id, canary).limit(1)).first() is not None:
        _set(session, run_id, canary_settled_at=func.clock_timestamp())


def _waiting(run_id: UUID, canary: int) -> Select[UUID]:
    """Those of the first that are still to be tried; whom their own rules put off, perhaps for days, nobody awaits."""
    return select(Message.id).where(
        Message.run_id == run_id,
        Message.position <= canary,
        Message.state.in_([MessageState.PLANNED, MessageState.SENDING]),
        Message.ended_at.is_(None),
        func.coalesce(Message.hold_reason, "").not_in(PUT_OFF_BY_A_PERSON),
    )


def _tried(run_id: UUID, canary: int) -> Select[UUID]:
    """Where everybody is put off, nothing can be learned yet."""
    tried = or_(Message.state == MessageState.SENT, Message.ended_at.is_not(None))
    return select(Message.id).where(Message.run_id == run_id, Message.position <= canary, tried)


def _end_canary(engine: Engine, run_id: UUID, plan: Plan) -> None:
    """The others go, where all of it were handed over and the time of watching is over."""
    with transaction(engine) as session:
        until = _watched_until(get_run(session, run_id), plan)
        if until is None or until > session.scalars(select(func.clock_timestamp())).one():
            return
    with held_run(engine, run_id, "release") as (session, run, now):
        until = _watched_until(run, plan)
        if run.state in RUNS_THAT_SEND and until is not None and until <= now:
            _set(session, run_id, released_up_to=run.limited_to, canary=None)
            write_audit(session, ITSELF, "release", run_id, up_to=run.limited_to, canary=run.canary)


def _watched_until(run: RunView, plan: Plan) -> datetime | None:
    if run.canary is None or run.canary_settled_at is None:
        return None
    return canary_watched_until(plan.launch, run.canary_settled_at, run.watched_from)


def _known_moment(run: RunView, plan: Plan) -> datetime | None:
    if run.gate is Gate.UNDO:
        return run.resumes_at
    return _watched_until(run, plan) if run.state in RUNS_THAT_SEND else None


def _must_await_approval(session: Session, run: RunView) -> int:
    """How many are targeted."""
    if run.state in _OVER:
        raise WrongStateError("approve", run.state, "it sends nothing any more")
    if run.targeted is None:
        raise WrongStateError("approve", run.state, "its audience is not counted yet; try again when it is")
    if run.approved_by is not None:
        raise WrongStateError("approve", run.state, f"{run.approved_by} has approved it already")
    if run.watched_from is not None or not awaits_approval(plan_of(session, run.id).launch, run.targeted, None):
        raise WrongStateError("approve", run.state, "it awaits no approval")
    return run.targeted


def _let_go(session: Session, run: RunView, now: datetime) -> None:
    paused = now - run.paused_at if run.paused_at else timedelta()
    _set(session, run.id, paused_total=run.paused_total + paused, **let_go(run, plan_of(session, run.id), now))


def _set(session: Session, run_id: UUID, **values: object) -> None:
    session.execute(update(Run).where(Run.id == run_id).values(**values))
