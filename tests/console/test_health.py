"""`drumbeat health`: what a worker's container is asked, on the real engine."""

import asyncio
import socket
import subprocess
import sys
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.queues import CORE
from console.health import NoWorkerError, check_worker
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres import PostgresServer
from tests.console.terminal import Said, Terminal
from tests.fakes import People
from tests.stage import Stage

HOST = socket.gethostname()


@pytest.fixture
def stage(engine: Engine, temporal_client: Client) -> Stage:
    return Stage(engine, temporal_client, People([]))


async def known(stage: Stage) -> str:
    """Until the first poll has reached Temporal."""
    while True:
        try:
            return await check_worker(stage.client, stage.queue)
        except NoWorkerError:
            await asyncio.sleep(0.05)


def test_a_worker_of_this_host_works(drumbeat: Terminal, stage: Stage) -> None:
    stage.queue = CORE

    async def ask() -> Said:
        async with stage.working(), asyncio.timeout(30):
            await known(stage)
            return await asyncio.to_thread(drumbeat, "health", WAIT_FOR_SERVERS_SECONDS="60")

    said = asyncio.run(ask())
    assert (said.code, said.out.startswith("Works: ")) == (0, True)
    assert f"@{HOST}" in said.out


def test_a_worker_of_another_host_does_not_count(stage: Stage) -> None:
    async def ask() -> None:
        async with stage.working(), asyncio.timeout(30):
            identity = await known(stage)
            with pytest.raises(NoWorkerError, match=f"of others: {identity}"):
                await check_worker(stage.client, stage.queue, "another-host")

    asyncio.run(ask())


def test_a_worker_that_was_killed_does_not_count(stage: Stage) -> None:
    """Temporal goes on to name it for minutes: a worker polls here under the id of a process that is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    identity = f"{gone.pid}@{HOST}"

    async def ask() -> None:
        address = stage.client.service_client.config.target_host
        stage.client = await Client.connect(address, identity=identity, data_converter=pydantic_data_converter)
        async with stage.working(), asyncio.timeout(30):
            while True:
                with pytest.raises(NoWorkerError) as refused:
                    await check_worker(stage.client, stage.queue)
                if f"of others: {identity}" in str(refused.value):
                    return
                await asyncio.sleep(0.05)

    asyncio.run(ask())


def test_who_has_not_polled_for_long_does_not_count(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        async with stage.working(), asyncio.timeout(30):
            await known(stage)
            monkeypatch.setattr("console.health.POLLED_WITHIN", timedelta(0))
            with pytest.raises(NoWorkerError, match="of others: none"):
                await check_worker(stage.client, stage.queue)

    asyncio.run(ask())


def test_without_a_worker_it_says_where_to_look(drumbeat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: f"host-{uuid4().hex}")
    said = drumbeat("health")
    assert said.code == 1
    assert "Temporal knows no worker of this host" in said.err
    assert "Traceback" not in said.err


def test_tables_of_another_version_ask_for_the_migration(drumbeat: Terminal, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("update drumbeat.alembic_version set version_num = 'of_tomorrow'"))
    said = drumbeat("health")
    assert said.code == 1
    assert "the database's tables are of version of_tomorrow" in said.err
    assert "drumbeat migrate" in said.err


def test_an_empty_database_asks_for_the_migration(drumbeat: Terminal, postgres_server: PostgresServer) -> None:
    said = drumbeat("health", DATABASE_URL=postgres_server.create_database(f"empty_{uuid4().hex}"))
    assert said.code == 1
    assert "of version none" in said.err
    assert "drumbeat migrate" in said.err


def test_a_database_that_is_away_is_named(drumbeat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.deployment.ANSWER_SECONDS", 1)
    said = drumbeat("health", DATABASE_URL=f"postgresql://drumbeat@{LOOPBACK}:{free_port()}/drumbeat")
    assert said.code == 1
    assert "(DATABASE_URL) did not answer within 1 s" in said.err


def test_a_temporal_that_is_away_is_named(drumbeat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.deployment.ANSWER_SECONDS", 1)
    said = drumbeat("health", TEMPORAL_ADDRESS=f"{LOOPBACK}:{free_port()}")
    assert said.code == 1
    assert "(TEMPORAL_ADDRESS) did not answer within 1 s" in said.err
