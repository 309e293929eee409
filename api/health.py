"""Whether this process lives, and whether it can do its work."""

import asyncio
from datetime import timedelta
from typing import Literal

import structlog
from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response
from temporalio.service import RPCError

from api.parts import PartsOf, Temporal, TemporalOf, TemporalUnavailableError, WindowOf
from api.problems import answer, brief, problems
from api.refusals import NOT_READY, TooManyRequestsError

CHECK_SECONDS = 3.0

router = APIRouter(tags=["Health"])
log = structlog.get_logger()


class Alive(BaseModel):
    model_config = ConfigDict(frozen=True)

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    model_config = ConfigDict(frozen=True)

    status: Literal["ready"] = "ready"
    database: str = "ok"
    temporal: str = "ok"


@router.get("/healthz")
def alive() -> Alive:
    """The process answers. It asks nobody else, so that nobody else's trouble gets it restarted."""
    return Alive()


@router.get("/readyz", responses=problems(429, 503), response_model=Ready)
async def ready(request: Request, parts: PartsOf, temporal: TemporalOf, window: WindowOf) -> Ready | Response:
    """PostgreSQL and Temporal can be reached; else each is named. Acknowledgements and clicks need PostgreSQL alone."""
    if not window.admits(request):
        raise TooManyRequestsError
    database_is, temporal_is = await asyncio.gather(_check_database(parts.engine), _check_temporal(temporal))
    if database_is == temporal_is == "ok":
        return Ready()
    detail = f"database: {database_is}; temporal: {temporal_is}"
    return answer(request, NOT_READY, detail, {"database": database_is, "temporal": temporal_is})


async def _check_database(engine: Engine) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await to_thread.run_sync(_ask, engine, abandon_on_cancel=True)
    except (SQLAlchemyError, TimeoutError) as error:
        log.warning("database_unavailable", error=brief(error))
        return "cannot be reached"
    return "ok"


def _ask(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("select 1"))


async def _check_temporal(temporal: Temporal) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            client = await temporal.client()
            serving = await client.service_client.check_health(timeout=timedelta(seconds=CHECK_SECONDS))
    except (TemporalUnavailableError, RPCError, TimeoutError) as error:
        log.warning("temporal_unavailable", error=brief(error))
        return "cannot be reached"
    return "ok" if serving else "does not serve"
