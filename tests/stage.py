"""The real engine for a test: workers in this process, on the real Temporal server and the real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine
from temporalio.client import Client

from activities.nudging import nudge
from activities.starting import Started, StartOrder, start_run
from campaigns.registry import Registry
from db.engine import transaction
from db.facts import TakenAcknowledgement, take_acknowledgement
from db.ledger import Progress, Proof, progress, prove
from db.runs import RunView, get_run
from db.tables import Run
from domain.hashing import AddressHasher
from tests.fakes import FakeChannel, FakeLinks, People, a_probe
from workflows.workers import WorkerParts, build_workers

HASHER = AddressHasher(b"a key for tests, and for tests only")
PATIENCE_SECONDS = 30


@dataclass
class Stage:
    engine: Engine
    client: Client
    people: People
    channels: dict[str, FakeChannel] = field(default_factory=lambda: {n: FakeChannel(n) for n in ("fcm", "mqtt")})
    queue: str = field(default_factory=lambda: f"test-{uuid4().hex[:8]}")
    registry: Registry = field(default_factory=lambda: Registry({"probe": a_probe()}))

    def parts(self, client: Client) -> WorkerParts:
        return WorkerParts(
            client=client,
            engine=self.engine,
            registry=self.registry,
            channels=self.channels,
            sources={"people": self.people},
            links=FakeLinks(),
            hash_address=HASHER,
            slots=20,
            core_queue=self.queue,
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Workers, as long as the block lasts."""
        workers = build_workers(self.parts(self.client))
        running = asyncio.gather(*(worker.run() for worker in workers))
        try:
            yield
        finally:
            await asyncio.gather(*(worker.shutdown() for worker in workers))
            await running

    async def start(self, key: str | None = None, limit: int | None = None, **parameters: Any) -> Started:  # noqa: ANN401 - any parameter
        order = StartOrder("probe", parameters, key or uuid4().hex, limit, "test")
        return await start_run(self.client, self.registry, order, self.queue)

    async def acknowledge(self, attempt_id: UUID, *, tell: bool = True) -> TakenAcknowledgement:
        taken = await asyncio.to_thread(self._take_acknowledgement, attempt_id)
        if tell:
            await nudge(self.client, taken.message_id, "acknowledged")
        return taken

    async def until(self, what: str, happened: Callable[[], bool]) -> None:
        """Look until it has happened; the test fails with `what` when it does not."""
        for _ in range(PATIENCE_SECONDS * 20):
            if await asyncio.to_thread(happened):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never happened: {what}")

    async def closed(self, run_id: UUID) -> RunView:
        await self.until("the run is closed", lambda: self.has_run(run_id) and self.run(run_id).closed_at is not None)
        return self.run(run_id)

    def run(self, run_id: UUID) -> RunView:
        with transaction(self.engine) as session:
            return get_run(session, run_id)

    def has_run(self, run_id: UUID) -> bool:
        with transaction(self.engine) as session:
            return session.get(Run, run_id) is not None

    def progress(self, run_id: UUID) -> Progress:
        with transaction(self.engine) as session:
            return progress(session, run_id)

    def proof(self, run_id: UUID) -> Proof:
        with transaction(self.engine) as session:
            return prove(session, run_id)

    def _take_acknowledgement(self, attempt_id: UUID) -> TakenAcknowledgement:
        with transaction(self.engine) as session:
            taken = take_acknowledgement(session, attempt_id, datetime.now(UTC))
        assert taken is not None
        return taken
