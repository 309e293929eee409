"""A large run is let go by somebody else than who started it."""

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from api.keys import Approver
from api.parts import PartsOf, RelayOf
from api.problems import problems
from api.relay import run_changed
from api.runs import Reference
from db import launching
from db.engine import transaction
from db.runs import find_run

router = APIRouter(
    prefix="/api/v1/runs/{reference}", tags=["Control"], responses=problems(401, 403, 404, 409, 422, 503)
)


class ApprovedRun(BaseModel):
    model_config = ConfigDict(frozen=True)

    run_id: UUID
    targeted: int
    state: str
    waits_for: str | None
    """What the run still waits for, paused, before its first send."""


@router.post("/approve")
def approve(reference: Reference, parts: PartsOf, relay: RelayOf, actor: Approver) -> ApprovedRun:
    """Let a run go that has more messages than `APPROVAL_ABOVE`. Needs the scope `approve`, and another key."""
    with transaction(parts.engine) as session:
        run = find_run(session, reference)
    approved = launching.approve(parts.engine, run.id, actor)
    relay.put(run_changed(run.workflow_id))
    return ApprovedRun(run_id=run.id, targeted=approved.targeted, state=approved.state, waits_for=approved.waits_for)
