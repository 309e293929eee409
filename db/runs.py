"""The rows of runs: made, found, listed, and moved on when nothing is planned or awaited any more."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import case, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.audit import write_audit
from db.tables import UNFINISHED, Message, Run
from domain.ids import run_id_of
from domain.launching import Gate
from domain.plan import Launch, Plan
from domain.problems import NoSuchRunError
from domain.states import MessageState, RunState


class RunView(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: UUID
    campaign: str
    slot: str
    workflow_id: str
    state: RunState
    state_reason: str | None
    parameters: dict[str, Any]
    created_at: datetime
    begun_at: datetime | None
    started_at: datetime | None
    paused_at: datetime | None
    paused_total: timedelta
    cancelled_at: datetime | None
    completed_at: datetime | None
    closed_at: datetime | None
    released_up_to: int | None
    bypass_frequency_caps: bool = False
    launch: Launch = Launch()
    """What has to happen before it sends to everybody."""
    started_by: str | None = None
    retry_of: UUID | None = None
    """The run whose failed messages are this one's audience."""
    gate: Gate | None = None
    """What a pause before the first send waits for."""
    approved_by: str | None = None
    resumes_at: datetime | None = None
    """When the undo window is over."""
    watched_from: datetime | None = None
    """Since when its figures are held against the thresholds; None: it has not passed its gates."""
    canary: int | None = None
    """How many go first; None: nobody is waited for any more."""
    canary_settled_at: datetime | None = None
    limited_to: int | None = None
    """How many are released after the canary; None: all."""
    targeted: int | None
    left_out: dict[str, int]
    noted: dict[str, int]
    measured_at: datetime | None = None
    measurement_reason: str | None = None


def write_down_run(
    session: Session,
    *,
    workflow_id: str,
    campaign: str,
    slot: str,
    parameters: Mapping[str, Any],
    plan: Plan,
    released_up_to: int | None = None,
    actor: str | None = None,
    retry_of: UUID | None = None,
) -> None:
    """Make the run's row as soon as it is started, so that it can be seen and stopped before a worker begins it."""
    run_id = run_id_of(workflow_id)
    made = session.execute(
        insert(Run)
        .values(
            id=run_id,
            campaign=campaign,
            slot=slot,
            workflow_id=workflow_id,
            state=RunState.SCHEDULED,
            parameters=dict(parameters),
            plan=plan.model_dump(mode="json"),
            started_at=func.clock_timestamp(),
            released_up_to=released_up_to,
            started_by=actor,
            retry_of=retry_of,
        )
        .on_conflict_do_nothing()
        .returning(Run.id)
    ).one_or_none()
    if made is not None and actor is not None:
        retries = {"retry_of": str(retry_of)} if retry_of else {}
        write_audit(session, actor, "start", run_id, campaign=campaign, limit=released_up_to, **retries)
        if plan.bypass_frequency_caps:
            write_audit(session, actor, "bypass_frequency_caps", run_id, campaign=campaign)


def begin_run(session: Session, run_id: UUID, plan: Plan) -> RunView:
    """A worker takes it up: its plan is frozen, once and for all. One that has begun is found as it is."""
    now_queued = case((Run.state == RunState.SCHEDULED, RunState.QUEUED), else_=Run.state)
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.begun_at.is_(None))
        .values(
            state=now_queued,
            plan=plan.model_dump(mode="json"),
            begun_at=func.clock_timestamp(),
            started_at=func.clock_timestamp(),
        )
    )
    return get_run(session, run_id)


def open_run(
    session: Session,
    *,
    workflow_id: str,
    campaign: str,
    slot: str,
    parameters: Mapping[str, Any],
    plan: Plan,
    released_up_to: int | None = None,
    actor: str | None = None,
    retry_of: UUID | None = None,
) -> RunView:
    """Both at once: what a worker does with a run that a schedule started."""
    write_down_run(
        session,
        workflow_id=workflow_id,
        campaign=campaign,
        slot=slot,
        parameters=parameters,
        plan=plan,
        released_up_to=released_up_to,
        actor=actor,
        retry_of=retry_of,
    )
    return begin_run(session, run_id_of(workflow_id), plan)


def starts_at(session: Session, run_id: UUID, at: datetime) -> RunView:
    """As if it were another time: for a run that is rolled back."""
    session.execute(update(Run).where(Run.id == run_id).values(started_at=at))
    return get_run(session, run_id)


def has_run(session: Session, workflow_id: str) -> bool:
    return session.get(Run, run_id_of(workflow_id)) is not None


def get_run(session: Session, run_id: UUID) -> RunView:
    run = session.get(Run, run_id)
    if run is None:
        raise NoSuchRunError(str(run_id))
    session.refresh(run)
    return RunView.model_validate(run)


def find_run(session: Session, reference: str) -> RunView:
    """By UUID or the beginning of one (8 characters or more), by workflow id, or by `campaign-slot`."""
    text_id = func.text(Run.id)
    wanted = [text_id == reference.lower(), Run.workflow_id.in_([reference, f"run:{reference}"])]
    if len(reference) >= 8:  # noqa: PLR2004 - as the docstring says
        wanted.append(text_id.startswith(reference.lower(), autoescape=True))
    found = session.scalars(select(Run).where(or_(*wanted)).limit(2)).all()
    if len(found) != 1:
        raise NoSuchRunError(reference)
    return RunView.model_validate(found[0])


def list_runs(session: Session, limit: int = 50, before: datetime | None = None) -> list[RunView]:
    """The newest first; `before` a run's `created_at`."""
    query = select(Run).order_by(Run.created_at.desc()).limit(limit)
    if before is not None:
        query = query.where(Run.created_at < before)
    return [RunView.model_validate(run) for run in session.scalars(query)]


def note_waiting(session: Session, run_id: UUID, reason: str) -> None:
    """Why a run does not begin yet, for whoever looks at it."""
    session.execute(update(Run).where(Run.id == run_id, Run.state == RunState.QUEUED).values(state_reason=reason))


def fail_run(session: Session, run_id: UUID, reason: str) -> None:
    """Nothing was targeted and nothing will be sent; one that was cancelled meanwhile ends as that."""
    may_fail = [RunState.SCHEDULED, RunState.QUEUED, RunState.PAUSED, RunState.CANCELLED]
    failed = case((Run.state == RunState.CANCELLED, RunState.CANCELLED), else_=RunState.FAILED)
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.state.in_(may_fail), Run.targeted.is_(None))
        .values(state=failed, state_reason=reason, targeted=0, closed_at=func.clock_timestamp(), paused_at=None)
    )


def list_open_runs(session: Session, older_than: timedelta) -> list[RunView]:
    """Those that have not come to their end, the very young apart."""
    open_ones = select(Run).where(Run.closed_at.is_(None), Run.created_at < func.clock_timestamp() - older_than)
    return [RunView.model_validate(run) for run in session.scalars(open_ones.order_by(Run.created_at))]


def plan_of(session: Session, run_id: UUID) -> Plan:
    return Plan.model_validate(session.execute(select(Run.plan).where(Run.id == run_id)).scalar_one())


def move_on(session: Session, run_id: UUID) -> RunState:
    """Running → completed when nothing is planned, held or sending; → closed when nothing is awaited either."""
    state, values = _next_values(session, run_id, hold=False)
    if values:
        # Once more with the row held: a verdict that comes now must not find a message planned in a run that is closed.
        state, values = _next_values(session, run_id, hold=True)
    if values:
        session.execute(update(Run).where(Run.id == run_id).values(**values))
    return RunState(values.get("state", state))


def _next_values(session: Session, run_id: UUID, *, hold: bool) -> tuple[RunState, dict[str, Any]]:
    """The run's state, and what its row is to change to."""
    run = session.get(Run, run_id)
    if run is None:
        raise NoSuchRunError(str(run_id))
    session.refresh(run, with_for_update={"key_share": True} if hold else None)
    state = RunState(run.state)
    if state not in {RunState.RUNNING, RunState.COMPLETED, RunState.CANCELLED} or run.closed_at or run.targeted is None:
        return state, {}
    unfinished = _unfinished(session, run_id)
    new = _state_with(unfinished) if state is not RunState.CANCELLED else state
    values: dict[str, Any] = {"state": new} if new is not state else {}
    if new is RunState.COMPLETED and run.completed_at is None:
        values["completed_at"] = func.clock_timestamp()
    if not unfinished:
        values["closed_at"] = func.clock_timestamp()
        values["completed_at"] = func.coalesce(Run.completed_at, func.clock_timestamp())
    return state, values


def _unfinished(session: Session, run_id: UUID) -> set[tuple[str, bool]]:
    """(state, whether held) of the messages that have not ended."""
    held = Message.hold_reason.is_not(None)
    query = select(Message.state, held).where(Message.run_id == run_id, text(UNFINISHED)).distinct()
    return set(session.execute(query))


def _state_with(unfinished: set[tuple[str, bool]]) -> RunState:
    if not unfinished:
        return RunState.CLOSED
    return RunState.COMPLETED if unfinished <= {(MessageState.SENT, False)} else RunState.RUNNING
