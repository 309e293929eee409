"""The real engine for a test: workers in this process, on the real Temporal server and the real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, select, update
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.nudging import nudge
from activities.orders import SweepReport
from activities.starting import Started, StartOrder, start_and_write_down
from campaigns.registry import Registry
from channels.interface import Outgoing
from db import control
from db.engine import transaction
from db.facts import TakenAcknowledgement, take_acknowledgement
from db.launching import Approved, approve
from db.ledger import Progress, progress
from db.proof import Proof, prove
from db.runs import RunView, get_run
from db.tables import Attempt, Message, Run
from domain.clock import ClockPolicy
from domain.house_rules import NO_HOUSE_RULES, HouseRules
from domain.ids import message_id_of, message_workflow_id
from domain.launching import LaunchOrder
from tests.db.scene import HASHER, Row, Scene
from tests.fakes import FakeChannel, FakeLinks, People, a_probe
from workflows.sweep import Sweep
from workflows.workers import WorkerParts, build_workers

PATIENCE_SECONDS = 60


def everybody(_: Outgoing) -> bool:
    return True


@dataclass
class Stage:
    engine: Engine
    client: Client
    people: People
    channels: dict[str, FakeChannel] = field(default_factory=lambda: {n: FakeChannel(n) for n in ("fcm", "mqtt")})
    queue: str = field(default_factory=lambda: f"test-{uuid4().hex[:8]}")
    house_rules: HouseRules = NO_HOUSE_RULES
    registry: Registry = field(default_factory=lambda: Registry({"probe": a_probe()}))
    _answers: set[asyncio.Task[TakenAcknowledgement]] = field(default_factory=set)

    def parts(self, client: Client) -> WorkerParts:
        return WorkerParts(
            client=client,
            engine=self.engine,
            registry=self.registry,
            channels=self.channels,
            sources={"people": self.people},
            links=FakeLinks(),
            hash_address=HASHER,
            house_rules=self.house_rules,
            slots=20,
            core_queue=self.queue,
        )

    @asynccontextmanager
    async def working(self, *, as_another_process: bool = False) -> AsyncIterator[None]:
        """Workers, as long as the block lasts; two sets at once need connections of their own."""
        workers = build_workers(self.parts(await self._connection() if as_another_process else self.client))
        running = asyncio.gather(*(worker.run() for worker in workers))
        try:
            yield
        finally:
            await asyncio.gather(*(worker.shutdown() for worker in workers))
            await running

    async def _connection(self) -> Client:
        address = self.client.service_client.config.target_host
        return await Client.connect(address, data_converter=pydantic_data_converter)

    async def start(
        self,
        key: str | None = None,
        limit: int | None = None,
        launch: LaunchOrder = LaunchOrder(),  # noqa: B008 - frozen
        **parameters: Any,  # noqa: ANN401 - any parameter
    ) -> Started:
        order = StartOrder("probe", parameters, key or uuid4().hex, limit, "test", launch)
        return await start_and_write_down(self.client, self.engine, self.registry, order, self.queue)

    async def sweep(self) -> SweepReport:
        """What the schedule does every minute."""
        return await (await self.start_sweep()).result()

    async def start_sweep(self) -> WorkflowHandle[Sweep, SweepReport]:
        return await self.client.start_workflow(Sweep.run, id=f"sweep-{uuid4()}", task_queue=self.queue)

    def let_devices_acknowledge(self, *channels: str, whom: Callable[[Outgoing], bool] = everybody) -> None:
        """From now on they answer as soon as they have the message, often before its send is recorded."""
        loop = asyncio.get_running_loop()

        def answer(message: Outgoing, _: str) -> None:
            if whom(message):
                loop.call_soon_threadsafe(self._answer, message.message_id)

        for channel in channels:
            self.channels[channel].behave = answer

    def _answer(self, attempt_id: UUID) -> None:
        task = asyncio.ensure_future(self.acknowledge(attempt_id))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

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

    async def told(self, message_id: UUID) -> str:
        """The message's workflow has ended by itself: what it ended with."""

        def has_ended() -> bool:
            with transaction(self.engine) as session:
                message = session.get(Message, message_id)
                return message is not None and message.ended_at is not None

        await self.until("the message has ended", has_ended)
        async with asyncio.timeout(PATIENCE_SECONDS):
            handle = self.client.get_workflow_handle(message_workflow_id(message_id), result_type=str)
            result: str = await handle.result()
            return result

    async def history(self, workflow_id: str) -> list[HistoryEvent]:
        return list((await self.client.get_workflow_handle(workflow_id).fetch_history()).events)

    async def pause(self, run_id: UUID) -> control.Paused:
        return await asyncio.to_thread(control.pause, self.engine, run_id, "test")

    async def resume(self, run_id: UUID, policy: ClockPolicy = ClockPolicy.SHIFT) -> control.Resumed:
        return await asyncio.to_thread(control.resume, self.engine, run_id, "test", policy)

    async def cancel(self, run_id: UUID) -> control.Cancelled:
        return await asyncio.to_thread(control.cancel, self.engine, run_id, "test")

    async def approve(self, run_id: UUID) -> Approved:
        return await asyncio.to_thread(approve, self.engine, run_id, "second")

    async def release(self, run_id: UUID, up_to: int | None) -> int:
        return await asyncio.to_thread(control.release, self.engine, run_id, "test", up_to)

    def batch_without_workflows(self) -> UUID:
        """A run whose only batch was opened, by somebody who died before a single workflow was started."""
        return Scene(self.engine).opened(*self.people.recipients)

    def backdate(self, run_id: UUID) -> None:
        """All that is due has been for a minute, so that Sweep takes it up without a wait."""
        with transaction(self.engine) as session:
            due = update(Message).where(Message.run_id == run_id, Message.due_at.is_not(None))
            session.execute(due.values(due_at=datetime.now(UTC) - timedelta(minutes=1)))

    def backdate_run(self, run_id: UUID) -> None:
        """It is no longer so young that Sweep leaves it to its own workflow."""
        with transaction(self.engine) as session:
            session.execute(
                update(Run).where(Run.id == run_id).values(created_at=datetime.now(UTC) - timedelta(hours=1))
            )

    def stored(self, table: type[Row], **values: object) -> list[Row]:
        return Scene(self.engine).stored(table, **values)

    def run(self, run_id: UUID) -> RunView:
        with transaction(self.engine) as session:
            return get_run(session, run_id)

    def has_run(self, run_id: UUID) -> bool:
        with transaction(self.engine) as session:
            return session.get(Run, run_id) is not None

    def message(self, run_id: UUID, recipient: str = "person-0000") -> Message | None:
        """None: it is not there yet."""
        with transaction(self.engine) as session:
            return session.get(Message, message_id_of(run_id, recipient))

    def messages(self, run_id: UUID, **values: object) -> list[Message]:
        """Those whose columns have these values, by position."""
        with transaction(self.engine) as session:
            query = select(Message).filter_by(run_id=run_id, **values).order_by(Message.position)
            return list(session.scalars(query))

    def attempts(self, run_id: UUID) -> list[Attempt]:
        with transaction(self.engine) as session:
            query = select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.message_id, Attempt.number)
            return list(session.scalars(query))

    async def all_are(self, run_id: UUID, **values: object) -> None:
        """Every message of the snapshot has these values."""
        await self.until(
            f"all messages are {values}",
            lambda: (
                self.has_run(run_id)
                and (targeted := self.run(run_id).targeted) is not None
                and len(self.messages(run_id, **values)) == targeted
            ),
        )

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
