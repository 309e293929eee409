"""Pause, resume, cancel, release. The row is committed before the answer; the workflow is only nudged."""

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.keys import Operator, Viewer
from api.parts import Parts, PartsOf, RelayOf
from api.problems import problems
from api.relay import run_changed, sweep_now
from api.runs import Reference
from db import control, resuming
from db.engine import transaction
from db.resuming import ResumePreview
from db.runs import RunView, find_run
from domain.clock import ClockPolicy

router = APIRouter(
    prefix="/api/v1/runs/{reference}", tags=["Control"], responses=problems(401, 403, 404, 409, 422, 503)
)


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)

    run_id: UUID


class PausedRun(_View):
    in_flight: int
    """Messages in a provider's hands whose outcome is not recorded yet; no further one is handed over."""
    already: bool


class ResumeOrder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: ClockPolicy = ClockPolicy.SHIFT
    """shift: every deadline moves by the time paused; keep: they stand, what is overdue goes to its next rung;
    expire_overdue: they stand, and what is overdue ends."""


class ResumedRun(_View):
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
    waits_for: str | None
    """What the run still waits for, paused, before its first send."""


class CancelledRun(_View):
    withdrawn: int
    awaiting: int
    """Messages that were sent and whose answer is still awaited; no further rung follows."""
    in_flight: int
    already: bool


class ReleaseOrder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [{"up_to": 500}]})

    up_to: Annotated[int, Field(ge=1, le=2**31 - 1)] | None
    """Messages up to this position may go; null: all."""


class ReleasedRun(_View):
    released: int
    """How many of the audience may go now."""


@router.post("/pause")
def pause(reference: Reference, parts: PartsOf, relay: RelayOf, actor: Operator) -> PausedRun:
    """After the answer no further message of the run is handed to a provider. May be repeated."""
    run = _run(parts, reference)
    paused = control.pause(parts.engine, run.id, actor)
    relay.put(run_changed(run.workflow_id))
    return PausedRun(run_id=run.id, in_flight=paused.in_flight, already=paused.already)


@router.post("/resume")
def resume(
    reference: Reference, parts: PartsOf, relay: RelayOf, actor: Operator, order: ResumeOrder | None = None
) -> ResumedRun:
    """Go on after a pause. `resume-preview` says beforehand what each policy would do."""
    run = _run(parts, reference)
    resumed = control.resume(parts.engine, run.id, actor, (order or ResumeOrder()).policy)
    relay.put(run_changed(run.workflow_id))
    relay.put(sweep_now())
    return ResumedRun(run_id=run.id, **asdict(resumed))


@router.get("/resume-preview")
def preview_resume(reference: Reference, parts: PartsOf, _: Viewer) -> ResumePreview:
    """What each policy of a resume would do, if it were now. Changes nothing."""
    run = _run(parts, reference)
    with transaction(parts.engine) as session:
        return resuming.preview_resume(session, run.id)


@router.post("/cancel")
def cancel(reference: Reference, parts: PartsOf, relay: RelayOf, actor: Operator) -> CancelledRun:
    """Withdraw all that was not sent, and stop further rungs. May be repeated."""
    run = _run(parts, reference)
    cancelled = control.cancel(parts.engine, run.id, actor)
    relay.put(run_changed(run.workflow_id))
    relay.put(sweep_now())
    return CancelledRun(
        run_id=run.id,
        withdrawn=cancelled.withdrawn,
        awaiting=cancelled.awaiting,
        in_flight=cancelled.in_flight,
        already=cancelled.already,
    )


@router.post("/release")
def release(reference: Reference, order: ReleaseOrder, parts: PartsOf, relay: RelayOf, actor: Operator) -> ReleasedRun:
    """Let more of a run go that was started with a limit."""
    run = _run(parts, reference)
    released = control.release(parts.engine, run.id, actor, order.up_to)
    relay.put(run_changed(run.workflow_id))
    relay.put(sweep_now())
    return ReleasedRun(run_id=run.id, released=released)


def _run(parts: Parts, reference: str) -> RunView:
    with transaction(parts.engine) as session:
        return find_run(session, reference)
