"""Entry: a worker. It builds, registers, brings the schedules up to date, and runs until it is told to stop."""

import asyncio
from typing import Any

import structlog
import uvloop
from sqlalchemy import Engine
from temporalio.service import RPCError, RPCStatusCode

from domain.hand_over import CHANNEL_TIMEOUT, check_nesting
from settings import Settings, SettingsError, read_settings
from wiring import (
    await_database,
    build_channels,
    build_engine,
    build_hasher,
    build_house_rules,
    build_links,
    build_registry,
    build_sources,
    connect_temporal,
)
from workflows.schedules import ensure_schedules
from workflows.workers import WorkerParts, build_workers, told_to_stop

log = structlog.get_logger()


def run_worker(settings: Settings) -> None:
    """Returns after SIGINT or SIGTERM, when the sends under way are recorded."""
    check_nesting(CHANNEL_TIMEOUT)
    engine = build_engine(settings, "drumbeat-worker")
    try:
        await_database(engine, settings)
        uvloop.run(_serve(settings, engine))
    finally:
        engine.dispose()


async def _serve(settings: Settings, engine: Engine) -> None:
    client = await connect_temporal(settings)
    channels = build_channels(settings)
    parts = WorkerParts(
        client=client,
        engine=engine,
        registry=build_registry(settings),
        channels=channels,
        sources=build_sources(settings, engine),
        links=build_links(settings),
        hash_address=build_hasher(settings),
        house_rules=build_house_rules(settings),
        slots=settings.worker_slots,
    )
    await _ensure_schedules(parts)
    workers = build_workers(parts)
    running = asyncio.ensure_future(asyncio.gather(*(worker.run() for worker in workers)))
    log.info("worker_ready", channels=sorted(channels), campaigns=sorted(parts.registry.campaigns))
    told: asyncio.Future[Any] = asyncio.ensure_future(told_to_stop())
    await asyncio.wait({running, told}, return_when=asyncio.FIRST_COMPLETED)
    log.info("worker_stops", note="sends under way are finished and recorded first")
    await asyncio.gather(*(worker.shutdown() for worker in workers))
    await running
    for channel in channels.values():
        channel.close()


async def _ensure_schedules(parts: WorkerParts) -> None:
    try:
        await ensure_schedules(parts.client, parts.registry, parts.core_queue)
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        raise SettingsError(f"Temporal refuses a schedule, such as LOCK_BATTERY_SCHEDULE: {error}") from error


if __name__ == "__main__":
    run_worker(read_settings())
