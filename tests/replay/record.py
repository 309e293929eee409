"""Records the histories that the replay test holds the workflows against. One command, from the repository's root:

    .venv/bin/python -m tests.replay.record

It starts servers of its own, plays each scenario and rewrites `tests/replay/histories/*.json`. Do this on purpose only:
a replay that fails after a change means that runs under way would break, and recording anew hides just that. Histories
of a version that is in use anywhere stay beside the new ones: keep the old file under another name.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from db.engine import create_database_engine
from db.migrate import migrate
from domain.ids import batch_workflow_id, measurement_workflow_id, message_workflow_id
from sandbox.postgres import PostgresServer
from sandbox.temporal_binary import find_or_install
from sandbox.temporal_server import TemporalServer
from tests.fakes import People, a_person
from tests.stage import Stage

HISTORIES = Path(__file__).parent / "histories"
NOBODY = "worker"
_NAMES_A_PROCESS = {"identity", "binaryChecksum", "workerInstanceKey"}
"""Keys whose values name the machine, or a process on it; a sticky queue's name does so too."""
_STICKY = "TASK_QUEUE_KIND_STICKY"


def scrubbed(history: Any) -> Any:  # noqa: ANN401 - JSON
    """Without anything that names this machine: replay does not look at it."""
    if isinstance(history, dict):
        hidden = _NAMES_A_PROCESS | ({"name"} if history.get("kind") == _STICKY else set())
        return {key: NOBODY if key in hidden else scrubbed(value) for key, value in history.items()}
    return [scrubbed(each) for each in history] if isinstance(history, list) else history


async def record(stage: Stage, name: str, workflow_id: str) -> None:
    history = await stage.client.get_workflow_handle(workflow_id).fetch_history()
    known = {"workflow_id": workflow_id, "history": scrubbed(json.loads(history.to_json()))}
    (HISTORIES / f"{name}.json").write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


async def acknowledged(stage: Stage) -> None:
    """And with it the run and the batch that it belongs to."""
    stage.people.recipients = [a_person(number) for number in range(3)]
    started = await stage.start(batch_size=2)
    await stage.all_are(started.run_id, state="sent")
    for attempt in stage.attempts(started.run_id):
        await stage.acknowledge(attempt.id)
    await stage.closed(started.run_id)
    message = stage.messages(started.run_id)[0]
    await stage.told(message.id)
    await stage.client.get_workflow_handle(started.workflow_id).result()
    await record(stage, "recipient_acknowledged", message_workflow_id(message.id))
    await record(stage, "campaign_run", started.workflow_id)
    await record(stage, "delivery_batch", batch_workflow_id(started.run_id, 1))


async def expired(stage: Stage) -> None:
    stage.people.recipients = [a_person(0, channels=("fcm",))]
    await _to_the_end(stage, "recipient_expired", ttl_seconds=1)


async def fallback(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]
    stage.let_devices_acknowledge("mqtt")
    await _to_the_end(stage, "recipient_fallback", ttl_seconds=1)


async def both_expired(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]
    await _to_the_end(stage, "recipient_both_expired", ttl_seconds=1)


async def _to_the_end(stage: Stage, name: str, ttl_seconds: int) -> None:
    run_id = (await stage.start(ttl_seconds=ttl_seconds)).run_id
    await stage.closed(run_id)
    [message] = stage.messages(run_id)
    await stage.told(message.id)
    await record(stage, name, message_workflow_id(message.id))


async def paused(stage: Stage) -> None:
    """By signals to the run; the message is held past its deadline, and Sweep wakes it."""
    stage.people.recipients = [a_person(0)]
    started = await stage.start(ttl_seconds=1)
    run_id, handle = started.run_id, stage.client.get_workflow_handle(started.workflow_id)
    await stage.all_are(run_id, state="sent")
    await handle.signal("pause")
    await stage.all_are(run_id, hold_reason="paused")
    stage.let_devices_acknowledge("mqtt")
    await handle.signal("resume")
    await stage.until("it runs", lambda: stage.run(run_id).paused_at is None)
    sweep = await stage.start_sweep()
    await sweep.result()
    await stage.closed(run_id)
    await handle.result()
    [message] = stage.messages(run_id)
    await stage.told(message.id)
    await record(stage, "recipient_paused", message_workflow_id(message.id))
    await record(stage, "campaign_run_paused", started.workflow_id)
    await record(stage, "sweep", sweep.id)


async def cancelled(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(2)]
    started = await stage.start(limit=1, ttl_seconds=1)
    await stage.until("one is sent", lambda: bool(stage.messages(started.run_id, state="sent")))
    handle = stage.client.get_workflow_handle(started.workflow_id)
    await handle.signal("cancel")
    await stage.closed(started.run_id)
    await handle.result()
    await record(stage, "campaign_run_cancelled", started.workflow_id)


async def measured(stage: Stage) -> None:
    stage.people.recipients = [replace(a_person(number), subject=f"lock-{number}") for number in range(2)]
    stage.let_devices_acknowledge("fcm")
    started = await stage.start(measured_for_seconds=2)
    await stage.closed(started.run_id)
    measurement = measurement_workflow_id(started.run_id)
    await stage.client.get_workflow_handle(started.workflow_id).result()
    await stage.client.get_workflow_handle(measurement).result()
    await record(stage, "campaign_run_measured", started.workflow_id)
    await record(stage, "run_measurement", measurement)


SCENARIOS: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    acknowledged,
    expired,
    fallback,
    both_expired,
    paused,
    cancelled,
    measured,
)


async def _record_all(address: str, databases: PostgresServer) -> None:
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    for scenario in SCENARIOS:
        url = await asyncio.to_thread(databases.create_database, f"record_{uuid4().hex}")
        await asyncio.to_thread(migrate, url)
        stage = Stage(create_database_engine(url), client, People([]))
        async with stage.working():
            await scenario(stage)
        stage.engine.dispose()
        _say(f"recorded: {scenario.__name__}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    HISTORIES.mkdir(exist_ok=True)
    program = find_or_install(_say)
    with TemporaryDirectory(prefix="drumbeat-record-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # root's PostgreSQL runs as another user
        with (
            PostgresServer(folder / "postgres", durable=False) as databases,
            TemporalServer(folder / "temporal", program, in_memory=True, headless=True, preferred_port=None) as engine,
        ):
            asyncio.run(_record_all(engine.address, databases))


if __name__ == "__main__":
    main()
