"""One round: a Temporal server, a database and a worker of its own, a warm-up, then one run up to its last end."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import uvloop
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from api.relay import Relay
from benchmarks.contestants import Bare, Contestant, Ours, UnfinishedRunError
from benchmarks.devices import TAKEN_AT_ONCE, Devices
from benchmarks.figures import Round
from benchmarks.hand_overs import listening
from benchmarks.statements import Statements, per_message
from benchmarks.usage import by_kind, load, look, megabytes
from benchmarks.worker import WorkerOrder, WorkerReport, start_worker
from db.engine import create_database_engine
from db.migrate import migrate
from sandbox.leash import Leash
from sandbox.postgres import PostgresServer
from sandbox.temporal_server import TemporalServer

WARM_UP = 20
ENDS_WITHIN_SECONDS = 900.0
_LOOK_EVERY_SECONDS = 0.1
_STOPS_WITHIN_SECONDS = 30.0
_TEMPLATE = "benchmark_template"


@contextmanager
def a_machine(temporal: Path) -> Iterator["Machine"]:
    """`temporal` is the server's program. PostgreSQL is durable, as in real life."""
    with TemporaryDirectory(prefix="drumbeat-benchmark-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # root's PostgreSQL runs as another user
        with PostgresServer(folder / "postgres") as postgres:
            migrate(postgres.create_database(_TEMPLATE))
            yield Machine(folder, temporal, postgres)


@dataclass(frozen=True)
class Machine:
    """What all rounds share."""

    folder: Path
    temporal: Path
    postgres: PostgresServer

    def bare_round(self, recipients: int) -> Round:
        return self._play(Bare(), None, recipients, Statements())

    def our_round(self, recipients: int, *, count_statements: bool = False) -> Round:
        statements = Statements()
        with self._database() as url:
            engine = create_database_engine(url, application="drumbeat-benchmark")
            if count_statements:
                statements.watch(engine)
            try:
                return self._play(Ours(engine), url, recipients, statements)
            finally:
                engine.dispose()

    @contextmanager
    def _database(self) -> Iterator[str]:
        name = f"benchmark_{uuid4().hex[:8]}"
        try:
            yield self.postgres.create_database(name, template=_TEMPLATE)
        finally:
            self.postgres.drop_database(name)

    def _play(self, contestant: Contestant, database_url: str | None, recipients: int, statements: Statements) -> Round:
        with (
            TemporaryDirectory(dir=self.folder) as made,
            TemporalServer(Path(made) / "temporal", self.temporal, headless=True, preferred_port=None) as temporal,
        ):
            order = WorkerOrder(
                temporal_address=temporal.address,
                database_url=database_url,
                pipe=Path(made) / "hand-overs",
                report=Path(made) / "report.json",
                secret=secrets.token_hex(32),
                count_statements=statements.watching,
            )
            parts = {"temporal": temporal.pid, "postgres": self.postgres.pid, "devices": os.getpid()}
            play = _Play(contestant, order, parts, statements)
            return uvloop.run(play.play(recipients))


@dataclass(frozen=True)
class _Play:
    contestant: Contestant
    order: WorkerOrder
    parts: dict[str, int]
    """Process ids."""
    statements: Statements

    async def play(self, recipients: int) -> Round:
        async with self._devices() as (client, devices):
            worker = await asyncio.to_thread(start_worker, self.order)
            try:
                async with asyncio.timeout(ENDS_WITHIN_SECONDS):
                    await self._measure(client, devices, worker, WARM_UP)
                    figures, threads = await self._measure(client, devices, worker, recipients)
            except TimeoutError as error:
                told = f"{recipients} recipients have not ended within {ENDS_WITHIN_SECONDS:g} s:\n{worker.tail()}"
                raise UnfinishedRunError(told) from error
            except BaseException as error:
                error.add_note(f"the worker's last words:\n{worker.tail()}")
                raise
            finally:
                await asyncio.to_thread(worker.stop, _STOPS_WITHIN_SECONDS)
        return self._with_report(figures, threads)

    @asynccontextmanager
    async def _devices(self) -> AsyncIterator[tuple[Client, Devices]]:
        client = await Client.connect(self.order.temporal_address, data_converter=pydantic_data_converter)

        async def connected() -> Client:
            return client

        relay = Relay(connected)
        with ThreadPoolExecutor(TAKEN_AT_ONCE) as threads:
            async with listening(self.order.pipe) as handed_over, relay.running():
                yield client, Devices(handed_over, relay, threads)

    async def _measure(
        self, client: Client, devices: Devices, worker: Leash, recipients: int
    ) -> tuple[Round, Mapping[int, float]]:
        """And the seconds of each of the worker's threads."""
        parts = {**self.parts, "worker": worker.pid_of_command}
        load_before, before, began = load(), look(parts), time.monotonic()
        run = await self.contestant.start(client, recipients)
        await devices.answer(self.contestant, recipients)
        await self._all_ended(client)
        seconds, bill = time.monotonic() - began, look(parts) - before
        await run.result()
        closed_seconds = time.monotonic() - began
        await asyncio.to_thread(self.contestant.check, run, recipients)
        figures = Round(
            engine=self.contestant.name,
            recipients=recipients,
            seconds=seconds,
            closed_seconds=closed_seconds,
            cpu={part: used / recipients * 1000 for part, used in bill.cpu.items()},
            memory={part: megabytes(pid) for part, pid in parts.items()},
            load_before=load_before,
            load_after=load(),
            others=max(bill.machine - sum(bill.cpu.values()), 0.0) / seconds,
        )
        return figures, bill.threads

    async def _all_ended(self, client: Client) -> None:
        """By the server's own count, which is asked when all have been told: it costs nothing before."""
        unfinished = f"WorkflowType = '{self.contestant.delivery}' and ExecutionStatus = 'Running'"
        while (await client.count_workflows(unfinished)).count:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def _with_report(self, figures: Round, threads: Mapping[int, float]) -> Round:
        report = WorkerReport.model_validate_json(self.order.report.read_text())
        per_recipient = 1000 / figures.recipients
        kinds = {kind: used * per_recipient for kind, used in by_kind(threads, report.threads).items()}
        statements = per_message(figures.recipients + WARM_UP, report.statements, self.statements.costs)
        return figures.model_copy(update={"threads": kinds, "statements": statements})
