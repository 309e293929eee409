"""Messages whose outcome nobody knows: listed with their evidence, and judged."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from api.keys import Operator, Viewer
from api.paging import PageSize, next_page
from api.parts import PartsOf, RelayOf
from api.problems import problems
from api.relay import run_changed, sweep_now
from api.runs import Reference
from db.engine import transaction
from db.runs import find_run
from db.unknown import UnknownMessage, list_unknown
from db.verdicts import Judged, judge
from domain.verdicts import Verdict

router = APIRouter(prefix="/api/v1/runs/{reference}", tags=["Runs"], responses=problems(401, 403, 404, 422, 503))


class UnknownPage(BaseModel):
    model_config = ConfigDict(frozen=True)

    messages: list[UnknownMessage]
    next: str | None
    """The address of the next page."""


class VerdictOrder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [{"verdict": "retry"}]})

    verdict: Verdict
    """`was_sent`: nothing more is sent. `retry`: it is sent again, also where its run has ended; a double may be."""


@router.get("/unknown")
def unknown(
    *,
    reference: Reference,
    request: Request,
    parts: PartsOf,
    _: Viewer,
    channel: Annotated[str | None, Query(pattern="^[!-~]{1,100}$")] = None,
    after: UUID | None = None,
    limit: PageSize = 100,
) -> UnknownPage:
    """The messages that ended as `unknown`, each try with all that is known of it, in the order of their ids."""
    with transaction(parts.engine) as session:
        found = list_unknown(session, find_run(session, reference).id, after, limit, channel)
    full = len(found) == limit
    more = {"channel": channel, "after": found[-1].message_id, "limit": limit} if full else None
    return UnknownPage(messages=found, next=next_page(request, more))


@router.post("/messages/{message_id}/verdict", responses=problems(409), tags=["Control"])
def verdict(
    *, reference: Reference, message_id: UUID, order: VerdictOrder, parts: PartsOf, relay: RelayOf, actor: Operator
) -> Judged:
    """Say what became of a message that ended as `unknown`. It is written to the audit log."""
    with transaction(parts.engine) as session:
        run = find_run(session, reference)
    judged = judge(parts.engine, parts.hash_address, run.id, message_id, order.verdict, actor=actor)
    if judged.verdict is Verdict.RETRY:
        relay.put(run_changed(run.workflow_id))
        relay.put(sweep_now())
    return judged
