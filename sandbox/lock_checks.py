"""Who checks their locks' batteries during the demo: some by themselves, and more of those who were told to."""

from __future__ import annotations  # the stubs' names exist for mypy alone

import asyncio
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Self

from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

from sandbox.dynamodb import KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from sandbox.fcm.log import AcceptedPush
    from sandbox.people import Person, World

BY_THEMSELVES = 0.12
"""Of the people with a stale lock, told or not."""
WHEN_TOLD = 0.45
"""Of the people whom a notification reached."""
_SOON_SECONDS = (0.5, 4.0)


class LockChecks:
    """In a thread of their own, from `with` to its end; `push_accepted` may be called from any thread."""

    def __init__(self, tables: DynamoDBClient, table: str, field: str, world: World, seed: int) -> None:
        self._tables = tables
        self._table = table
        self._field = field
        self._seed = seed
        self._locks: dict[str, list[str]] = defaultdict(list)
        """The stale ones, by owner."""
        for lock in world.locks:
            for owner in world.owners.get(lock.id, ()) if lock.stale else ():
                self._locks[owner.id].append(lock.id)
        self._owners = {token: person for person in world.people for token in person.tokens}
        self._targeted = world.targeted
        self._portal: BlockingPortal
        self._checks: set[asyncio.Task[None]] = set()
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self._portal = starting.enter_context(start_blocking_portal())
            starting.callback(lambda: self._portal.call(self._finish))
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def by_themselves(self, within_seconds: tuple[float, float]) -> None:
        """Some people look after their lock without being told, at moments drawn from these."""
        for person in self._targeted:
            lots = Random(f"{self._seed}/{person.id}/by themselves")
            if lots.random() < BY_THEMSELVES:
                self._portal.start_task_soon(self._plan, person, lots.uniform(*within_seconds))

    def push_accepted(self, push: AcceptedPush) -> None:
        person = self._owners[push.token]
        lots = Random(f"{self._seed}/{person.id}/told")
        if lots.random() < WHEN_TOLD:
            self._portal.start_task_soon(self._plan, person, lots.uniform(*_SOON_SECONDS))

    async def _plan(self, person: Person, delay: float) -> None:
        task = asyncio.create_task(self._check(person, delay))
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _check(self, person: Person, delay: float) -> None:
        await asyncio.sleep(delay)
        for lock_id in self._locks[person.id]:
            await to_thread.run_sync(partial(self._write, lock_id))

    def _write(self, lock_id: str) -> None:
        self._tables.update_item(
            TableName=self._table,
            Key={KEY: {"S": lock_id}},
            UpdateExpression="SET #check = :now",
            ExpressionAttributeNames={"#check": self._field},
            ExpressionAttributeValues={":now": {"S": datetime.now(UTC).isoformat()}},
        )

    async def _finish(self) -> None:
        await asyncio.gather(*self._checks)
