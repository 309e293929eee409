"""A new run over exactly those whose message failed."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from activities.retrying import check_same_retry, retry_order
from activities.starting import Started, StartOrder
from api.keys import Operator
from api.parts import Parts, PartsOf, TemporalOf
from api.problems import problems
from api.runs import Reference, StartedRun, start_on_temporal, told
from db.engine import transaction
from db.runs import find_run

router = APIRouter(prefix="/api/v1/runs/{reference}", tags=["Runs"], responses=problems(401, 403, 404, 409, 422, 503))


@router.post(
    "/retry-failed",
    status_code=202,
    responses={200: {"model": StartedRun, "description": "It had been started before"}},
)
async def retry_failed(
    *,
    reference: Reference,
    request: Request,
    response: Response,
    parts: PartsOf,
    temporal: TemporalOf,
    actor: Operator,
    key: Annotated[str | None, Header(alias="Idempotency-Key", examples=["second-try"])] = None,
) -> StartedRun:
    """Start a run over exactly the `failed` messages of one that is closed, with its campaign and parameters.

    May be repeated: it is one run, unless an Idempotency-Key makes it another. Nobody is held out of it, and it is
    not measured: its subjects are, in the run that it retries.
    """
    order = await run_in_threadpool(_order, parts, reference, key, actor)
    started = await start_on_temporal(parts, temporal, order)
    await run_in_threadpool(_check_same, parts, started, order)
    return told(started, request, response)


def _order(parts: Parts, reference: str, key: str | None, actor: str) -> StartOrder:
    with transaction(parts.engine) as session:
        return retry_order(session, parts.registry, find_run(session, reference), key, actor)


def _check_same(parts: Parts, started: Started, order: StartOrder) -> None:
    with transaction(parts.engine) as session:
        check_same_retry(session, started, order)
