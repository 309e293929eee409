"""A worker in a process of its own, for a test that kills it: its channels write down each hand-over, then answer.

Arguments: the database's URL, Temporal's address, the task queue, the file for the hand-overs, and how many people
there are.
"""

import asyncio
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from channels.interface import Outgoing
from db.engine import create_database_engine
from tests.fakes import FakeChannel, People, a_person
from tests.stage import Stage

ANSWER_SECONDS = 0.15
"""Long enough that a kill finds many sends between the hand-over and its record."""


@dataclass
class Book:
    """One line for each hand-over: the message and the attempt. It is on disk before the provider answers."""

    path: Path
    _file: int = field(init=False)

    def __post_init__(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, message: Outgoing, _: str) -> None:
        os.write(self._file, f"{message.dedupe_id} {message.message_id}\n".encode())
        time.sleep(ANSWER_SECONDS)


async def work(database_url: str, temporal_address: str, queue: str, book: Book, people: int) -> None:
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    channels = {name: FakeChannel(name, book.write) for name in ("fcm", "mqtt")}
    source = People([a_person(number) for number in range(people)])
    stage = Stage(create_database_engine(database_url), client, source, channels, queue)
    async with stage.working():
        await asyncio.Event().wait()


if __name__ == "__main__":
    url, address, task_queue, file, number = sys.argv[1:]
    asyncio.run(work(url, address, task_queue, Book(Path(file)), int(number)))
