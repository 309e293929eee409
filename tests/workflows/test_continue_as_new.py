"""No history grows without end: on a server that suggests a new one after some dozens of events, all goes on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from db.engine import create_database_engine
from db.tables import AuditEntry
from domain.ids import message_workflow_id
from domain.states import RunState
from sandbox.temporal_server import TemporalServer
from tests.fakes import People, a_person
from tests.stage import Stage
from workflows.campaign_run import CampaignRun

SUGGESTED_AFTER_EVENTS = 40


@pytest.fixture(scope="module")
def impatient_server(server_folder: Path, temporal_program: Path) -> Iterator[TemporalServer]:
    limit = {"limit.historyCount.suggestContinueAsNew": str(SUGGESTED_AFTER_EVENTS)}
    folder = server_folder / "impatient"
    options = {"in_memory": True, "headless": True}
    with TemporalServer(folder, temporal_program, preferred_port=None, dynamic_config=limit, **options) as server:  # type: ignore[arg-type] # booleans
        yield server


@pytest.fixture
def stage(database_url: str, impatient_server: TemporalServer) -> Iterator[Stage]:
    engine = create_database_engine(database_url)
    client = asyncio.run(Client.connect(impatient_server.address, data_converter=pydantic_data_converter))
    yield Stage(engine, client, People([]))
    engine.dispose()


async def executions(stage: Stage, workflow_id: str) -> int:
    """How many histories the workflow has had."""
    handle = stage.client.get_workflow_handle(workflow_id)
    first = (await handle.describe()).raw_description.workflow_execution_info.first_run_id
    found, run_id = 0, first
    while run_id:
        found += 1
        history = await stage.client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        run_id = history.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return found


def test_a_run_goes_on_in_a_new_history_with_batches_still_to_open_and_a_pause_in_between(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(40)]

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            started = await stage.start(batch_size=2)
            run_id, handle = started.run_id, stage.client.get_workflow_handle(started.workflow_id)
            await stage.until("some batches are sent", lambda: len(stage.channels["fcm"].accepted) >= 6)
            await handle.signal("pause")
            await stage.until("it is paused", lambda: stage.run(run_id).state is RunState.PAUSED)
            sent = len(stage.channels["fcm"].accepted)
            assert sent < 40
            before = await executions(stage, started.workflow_id)
            while await executions(stage, started.workflow_id) == before:
                await handle.signal(CampaignRun.run_changed)
            await handle.signal("resume")
            await stage.until("it goes on", lambda: stage.run(run_id).state is not RunState.PAUSED)
            await stage.sweep()
            await stage.closed(run_id)
            assert stage.proof(run_id).states == {"delivered": 40}
            assert len(stage.channels["fcm"].calls) == 40
            assert await executions(stage, started.workflow_id) >= 3
            assert len(stage.people.scans) == 1
            actions = [entry.action for entry in stage.stored(AuditEntry, run_id=run_id)]
            assert actions == ["start", "pause", "resume"]

    asyncio.run(scenario())


def test_a_delivery_goes_on_in_a_new_history_and_sends_nothing_twice(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        async with stage.working():
            run_id = (await stage.start()).run_id
            await stage.all_are(run_id, state="sent")
            [message] = stage.messages(run_id)
            workflow_id = message_workflow_id(message.id)
            while await executions(stage, workflow_id) == 1:
                await stage.client.get_workflow_handle(workflow_id).signal("look_again")
            await stage.acknowledge(stage.attempts(run_id)[0].id)
            assert await stage.told(message.id) == "delivered"
            assert len(stage.channels["fcm"].calls) == 1

    asyncio.run(scenario())
