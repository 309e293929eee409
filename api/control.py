"""Pause, resume, cancel, release. The row is committed before the answer; the workflow is only nudged."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.keys import Operator
from api.parts import Parts, PartsOf, RelayOf
from api.problems import problems
from api.relay import run_changed, sweep_now
from api.runs import Reference
from db import control
from db.engine import transaction
from db.runs import RunView, find_run

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

    policy: Literal["shift"] = "shift"
    """Every deadline moves by the time paused."""


class ResumedRun(_View):
    paused_seconds: float
    """By how much the deadlines have moved, over all pauses."""
    held: int
    """Messages that waited for this, and go on now."""


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
    reference: Reference, parts: PartsOf, relay: RelayOf, actor: Operator, _: ResumeOrder | None = None
) -> ResumedRun:
    """Go on after a pause."""
    run = _run(parts, reference)
    resumed = control.resume(parts.engine, run.id, actor)
    relay.put(run_changed(run.workflow_id))
    relay.put(sweep_now())
    return ResumedRun(run_id=run.id, paused_seconds=resumed.paused_seconds, held=resumed.held)


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
