"""A worker of the lock battery campaign in a process of its own, for a test that kills it.

Arguments: the database's URL, Temporal's address, the task queue, DynamoDB's endpoint, the length of a page, and the
seconds after which a snapshot without a heartbeat counts as dead.
"""

import asyncio
import sys
from datetime import timedelta
from functools import partial

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from campaigns.registry import find_campaigns
from db.engine import create_database_engine
from domain.house_rules import NO_HOUSE_RULES
from sandbox.dynamodb import REGION
from sources import locks_table
from sources.dynamodb import dynamodb_client
from sources.locks import SEGMENTS, Locks
from tests.db.scene import HASHER
from tests.fakes import FakeChannel, FakeLinks
from tests.soak.numbered_locks import FIELD
from workflows.policies import SNAPSHOT
from workflows.workers import WorkerParts, build_workers


async def work(database_url: str, temporal_address: str, queue: str, endpoint: str) -> None:
    engine = create_database_engine(database_url)
    parts = WorkerParts(
        client=await Client.connect(temporal_address, data_converter=pydantic_data_converter),
        engine=engine,
        registry=find_campaigns({}, {}),
        channels={name: FakeChannel(name) for name in ("fcm", "mqtt")},
        sources={"locks": Locks(partial(dynamodb_client, REGION, endpoint, SEGMENTS), "locks", FIELD, engine)},
        links=FakeLinks(),
        hash_address=HASHER,
        house_rules=NO_HOUSE_RULES,
        core_queue=queue,
    )
    await asyncio.gather(*(worker.run() for worker in build_workers(parts)))


if __name__ == "__main__":
    url, address, task_queue, dynamodb, page, seconds = sys.argv[1:]
    locks_table.PAGE_LIMIT = int(page)
    SNAPSHOT["heartbeat_timeout"] = timedelta(seconds=float(seconds))
    asyncio.run(work(url, address, task_queue, dynamodb))
