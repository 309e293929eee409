"""Nudges on their way to Temporal. The fact is in the database already, so one that is lost does no harm."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.nudging import nudge, nudge_run, wake_sweep
from domain.problems import ProblemError

WAITING_AT_MOST = 10_000
SENT_AT_ONCE = 20
TRIES = 8
"""With doubling pauses they span half a minute; then Sweep, which looks every minute, is sooner."""
FIRST_PAUSE_SECONDS = 0.25
SEND_SECONDS = 10.0
DRAIN_SECONDS = 5.0

_WORTH_ANOTHER_TRY = {RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Nudge:
    word: str
    target: str
    send: Callable[[Client], Awaitable[object]]


def acknowledged(message_id: UUID) -> Nudge:
    return Nudge("acknowledged", str(message_id), partial(nudge, message_id=message_id, signal="acknowledged"))


def clicked(message_id: UUID) -> Nudge:
    return Nudge("clicked", str(message_id), partial(nudge, message_id=message_id, signal="clicked"))


def look_again(message_id: UUID) -> Nudge:
    return Nudge("look_again", str(message_id), partial(nudge, message_id=message_id, signal="look_again"))


def run_changed(workflow_id: str) -> Nudge:
    return Nudge("run_changed", workflow_id, partial(nudge_run, workflow_id=workflow_id))


def sweep_now() -> Nudge:
    return Nudge("sweep_now", "sweep", wake_sweep)


@dataclass(slots=True)
class RelayCounts:
    sent: int = 0
    retried: int = 0
    dropped: int = 0
    """No room, or the process was about to end."""
    given_up: int = 0


class Relay:
    """A bounded queue and a few senders on the event loop; `put` may be called from any thread."""

    def __init__(
        self,
        client: Callable[[], Awaitable[Client]],
        *,
        waiting_at_most: int = WAITING_AT_MOST,
        sent_at_once: int = SENT_AT_ONCE,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self.counts = RelayCounts()
        self._client = client
        self._queue: asyncio.Queue[Nudge] = asyncio.Queue(waiting_at_most)
        self._sent_at_once = sent_at_once
        self._first_pause_seconds = first_pause_seconds
        self._drain_seconds = drain_seconds
        self._under_way = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def put(self, nudge: Nudge) -> None:
        """Never waits and never fails: what there is no room for is counted, and found by Sweep."""
        if self._loop is None:
            self._drop(nudge, "the relay does not run")
        else:
            self._loop.call_soon_threadsafe(self._take_in, nudge)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While inside, nudges are sent; at the end those that wait get a moment."""
        self._loop = asyncio.get_running_loop()
        senders = [asyncio.create_task(self._send_all()) for _ in range(self._sent_at_once)]
        try:
            yield
        finally:
            self._loop = None
            await self._drain()
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)

    async def _drain(self) -> None:
        await asyncio.sleep(0)  # what other threads have put until now is taken in first
        try:
            async with asyncio.timeout(self._drain_seconds):
                await self._queue.join()
        except TimeoutError:
            lost = self.waiting + self._under_way
            self.counts.dropped += lost
            log.warning("nudges_lost_at_shutdown", lost=lost, remedy="Sweep finds them")

    def _take_in(self, nudge: Nudge) -> None:
        try:
            self._queue.put_nowait(nudge)
        except asyncio.QueueFull:
            self._drop(nudge, "the relay is full")

    def _drop(self, nudge: Nudge, why: str) -> None:
        self.counts.dropped += 1
        log.warning("nudge_dropped", why=why, nudge=nudge.word, target=nudge.target, remedy="Sweep finds it")

    async def _send_all(self) -> None:
        while True:
            nudge = await self._queue.get()
            self._under_way += 1
            try:
                await self._send(nudge)
            except Exception:  # a sender must outlive any nudge; Sweep does what this one would have done
                self.counts.given_up += 1
                log.exception("nudge_failed", nudge=nudge.word, target=nudge.target)
            finally:
                self._under_way -= 1
                self._queue.task_done()

    async def _send(self, nudge: Nudge) -> None:
        for tried in range(TRIES):
            if tried:
                self.counts.retried += 1
                await asyncio.sleep(self._first_pause_seconds * 2 ** (tried - 1))
            if await self._try(nudge):
                self.counts.sent += 1
                return
        self.counts.given_up += 1
        log.warning("nudge_given_up", nudge=nudge.word, target=nudge.target, remedy="Sweep finds it")

    async def _try(self, nudge: Nudge) -> bool:
        """False: worth another try. A workflow that is not there any more needs no nudge."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await nudge.send(await self._client())
        except (ProblemError, TimeoutError):
            return False
        except RPCError as error:
            if error.status in _WORTH_ANOTHER_TRY:
                return False
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return True
