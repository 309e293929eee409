"""The API as a program: built from the environment, served by uvicorn."""

from functools import partial

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.parts import Parts
from settings import Settings, read_settings
from wiring import await_database, build_engine, build_hasher, build_registry, build_signer, connect_temporal

SHUTDOWN_SECONDS = 10


def build_app(settings: Settings) -> FastAPI:
    """Temporal is connected when it is first needed: facts and stops are taken while it is away."""
    engine = build_engine(settings, "drumbeat-api")
    await_database(engine, settings)
    return create_app(
        Parts(
            engine=engine,
            connect=partial(connect_temporal, settings, patience_seconds=0),
            signer=build_signer(settings),
            registry=build_registry(settings),
            hash_address=build_hasher(settings),
            api_keys_required=settings.api_keys_required,
            click_landing_url=settings.click_landing_url,
            too_fast_seconds=settings.click_too_fast_seconds,
        )
    )


def from_environment() -> FastAPI:
    """For `uvicorn --factory api.entry:from_environment --workers N`."""
    return build_app(read_settings())


def serve(settings: Settings) -> None:
    uvicorn.run(
        build_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
