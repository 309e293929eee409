"""The devices: each acknowledges a moment after its hand-over, through the relay that the API uses."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from api.relay import Relay, acknowledged
from benchmarks.contestants import Contestant, UnfinishedRunError

ANSWER_AFTER_SECONDS = 1.0
"""By then the hand-over has long been recorded, and its workflow waits: the whole way is measured."""
TAKEN_AT_ONCE = 20
_LOOK_EVERY_SECONDS = 0.02


@dataclass(frozen=True)
class Devices:
    handed_over: asyncio.StreamReader
    relay: Relay
    threads: ThreadPoolExecutor

    async def answer(self, contestant: Contestant, expected: int) -> None:
        """Returns when so many were handed over, and all of their workflows have been told."""
        told = self.relay.counts.sent + expected
        async with asyncio.TaskGroup() as answers:
            for _ in range(expected):
                answers.create_task(self._answer(contestant, await self._next()))
        while self.relay.counts.sent < told:
            if self.relay.counts.dropped or self.relay.counts.given_up:
                raise UnfinishedRunError(f"nudges were lost: {self.relay.counts}")
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def _next(self) -> UUID:
        line = await self.handed_over.readline()
        if not line:
            raise UnfinishedRunError("the worker has ended in the middle of the run")
        return UUID(line.decode().strip())

    async def _answer(self, contestant: Contestant, handed_over: UUID) -> None:
        await asyncio.sleep(ANSWER_AFTER_SECONDS)
        whose = await asyncio.get_running_loop().run_in_executor(self.threads, contestant.take, handed_over)
        self.relay.put(acknowledged(whose))
