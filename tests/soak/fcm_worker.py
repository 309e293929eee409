"""A worker with the real FCM channel in a process of its own, for a test that kills it.

Arguments: the database's URL, Temporal's address, the task queue, the service account's file, how many people there
are, and the seconds that one step of a message may take: fewer than in earnest where a test is in a hurry.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from campaigns.registry import Registry
from channels.fcm import FcmChannel
from db.engine import create_database_engine
from domain.hand_over import ADVANCE_TIMEOUT
from domain.house_rules import NO_HOUSE_RULES
from domain.message import Recipient
from tests.db.scene import HASHER
from tests.fakes import FakeLinks, People, a_probe
from workflows.policies import ADVANCE
from workflows.workers import WorkerParts, build_workers

SLOTS = 20


def addressees(number: int) -> list[Recipient]:
    """Half of them are accepted before FCM's slow answer, half after a while: a kill finds both."""
    return [addressee(each, "dribble" if each % 2 else "slow") for each in range(number)]


def addressee(number: int, fault: str) -> Recipient:
    name = f"person-{number:05}"
    return Recipient(name, addresses={"fcm": (f"tok-{fault}:{name}",)}, person_key=name, acknowledges=True)


def let_steps_take(seconds: float) -> None:
    """A dead worker's claims are taken up that much sooner."""
    ADVANCE["start_to_close_timeout"] = timedelta(seconds=seconds)
    unsettled_for = timedelta(seconds=seconds + 1)
    for module in ("domain.ladder", "db.decisions"):
        patch(f"{module}.UNSETTLED_FOR", unsettled_for).start()


async def work(database_url: str, temporal_address: str, queue: str, account: Path, people: int) -> None:
    parts = WorkerParts(
        client=await Client.connect(temporal_address, data_converter=pydantic_data_converter),
        engine=create_database_engine(database_url),
        registry=Registry({"probe": a_probe()}),
        channels={"fcm": FcmChannel(account, pool_size=SLOTS)},
        sources={"people": People(addressees(people))},
        links=FakeLinks(),
        hash_address=HASHER,
        house_rules=NO_HOUSE_RULES,
        slots=SLOTS,
        core_queue=queue,
    )
    await asyncio.gather(*(worker.run() for worker in build_workers(parts)))


if __name__ == "__main__":
    url, address, task_queue, credentials, number, step_seconds = sys.argv[1:]
    if float(step_seconds) < ADVANCE_TIMEOUT.total_seconds():
        let_steps_take(float(step_seconds))
    asyncio.run(work(url, address, task_queue, Path(credentials), int(number)))
