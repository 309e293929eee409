"""The HTTP side: facts and stops in, progress and proof out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from api import (
    acknowledgements,
    approval,
    audit,
    campaigns,
    clicks,
    control,
    figures,
    health,
    home,
    metrics,
    missed,
    people,
    proof,
    reference,
    retrying,
    runs,
    suppressions,
    unknown,
    unsubscribe,
)
from api.bounds import Fence, MovingWindow
from api.pages import ASSETS
from api.parts import Parts, Temporal
from api.problems import describe_problems, register_problems, too_large
from api.relay import Relay

__all__ = ["Parts", "create_app"]

VERSION = "0.1.0"
_ABOUT = "Durable customer campaigns: every message ends in a known state, and you can prove it."
_ROUTERS = (
    campaigns,
    figures,
    unknown,
    proof,
    runs,
    missed,
    retrying,
    control,
    approval,
    audit,
    people,
    suppressions,
    acknowledgements,
    clicks,
    unsubscribe,
    home,
    health,
    metrics,
    reference,
)
_TAGS = [
    {"name": "Campaigns", "description": "What can be run."},
    {"name": "Runs", "description": "Started, listed, shown, proven."},
    {"name": "Control", "description": "Pause, resume, cancel, release."},
    {"name": "People", "description": "What is known of one person, and who gets nothing."},
    {"name": "Devices", "description": "What devices say."},
    {"name": "Links", "description": "Where links in messages lead."},
    {"name": "Health", "description": "For monitoring."},
]


def create_app(parts: Parts) -> FastAPI:
    """Serves while Temporal is away: facts and stops need the database alone."""
    app = FastAPI(
        title="Drumbeat",
        version=VERSION,
        description=_ABOUT,
        openapi_tags=_TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    temporal = Temporal(parts.connect)
    app.state.parts = parts
    app.state.temporal = temporal
    app.state.relay = Relay(temporal.client)
    app.state.window = MovingWindow(parts.public_requests_a_minute)
    app.state.metrics = metrics.make_registry(parts.engine, app.state.relay, app.state.window)
    app.add_middleware(Fence, too_large=too_large)
    register_problems(app)
    for module in _ROUTERS:
        app.include_router(module.router)
    describe_problems(app)
    app.mount("/assets", StaticFiles(directory=ASSETS))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with app.state.relay.running():
        yield
