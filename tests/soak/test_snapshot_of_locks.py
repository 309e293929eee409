"""The audience of the lock battery campaign, taken by workers that are killed with -9: nobody is missed or doubled."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest
from sqlalchemy import Engine, Executable, select, text
from temporalio.client import Client

from activities.starting import StartOrder, start_and_write_down
from campaigns.registry import find_campaigns
from db import control
from db.engine import create_database_engine, transaction
from db.runs import RunView, get_run
from db.tables import AudienceRow, Message, Outcome
from domain.last_check import Standing
from domain.outcomes import Arm
from sandbox.dynamodb import REGION
from sandbox.ports import LOOPBACK
from sources.dynamodb import dynamodb_client
from sources.locks import Locks
from tests.soak.numbered_locks import FIELD, Expected, lock_of, rows_of, standing_of
from workflows.policies import SNAPSHOT

ROOT = Path(__file__).resolve().parents[2]
A_MILLION = 1_000_000
LOOK_AGAIN_SECONDS = 0.2
MEGABYTE = 1_000_000


@dataclass
class Walk:
    """One run of the campaign; its workers come and go."""

    engine: Engine
    client: Client
    dynamodb: str
    page: int = 500
    heartbeat_seconds: float = SNAPSHOT["heartbeat_timeout"].total_seconds()
    queue: str = field(default_factory=lambda: f"test-{uuid4().hex[:8]}")
    run_id: UUID = field(init=False)

    def start(self) -> None:
        """Paused from the beginning, so that nothing is sent."""
        order = StartOrder("lock_battery", {"holdout_percent": 20}, key=uuid4().hex)
        starting = start_and_write_down(self.client, self.engine, find_campaigns({}, {}), order, self.queue)
        self.run_id = asyncio.run(starting).run_id
        control.pause(self.engine, self.run_id, "test")

    @contextmanager
    def a_worker(self) -> Iterator[psutil.Process]:
        """It is killed with -9 when the block is left."""
        address = self.client.service_client.config.target_host
        database = self.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        arguments = [database, address, self.queue, self.dynamodb, str(self.page), str(self.heartbeat_seconds)]
        command = [sys.executable, "-m", "tests.soak.locks_worker", *arguments]
        with subprocess.Popen(command, cwd=ROOT) as process:  # noqa: S603 - ours
            try:
                yield psutil.Process(process.pid)
            finally:
                process.kill()

    def run(self) -> RunView:
        with transaction(self.engine) as session:
            return get_run(session, self.run_id)

    def is_over(self) -> bool:
        return self.run().targeted is not None

    def rows(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text("select count(*) from drumbeat.audience")).scalar_one())

    def locks_by_user(self) -> dict[str, set[str]]:
        """As the messages name them; a user or a lock that comes twice fails the test."""
        messages = self._read(select(Message.recipient_id, Message.facts))
        named = {user: set(facts["locks"]) for user, facts in messages}
        assert len(named) == len(messages)
        assert all(len(named[user]) == len(facts["locks"]) for user, facts in messages)
        rows = set(self._read(select(AudienceRow.recipient_id, AudienceRow.subject)))
        assert {(user, lock) for user, locks in named.items() for lock in locks} == rows
        return named

    def arms(self) -> tuple[dict[str, str], dict[str, str]]:
        """Of the users, and of the locks as they will be measured."""
        messages = self._read(select(Message.recipient_id, Message.held_out))
        users: dict[str, str] = {user: Arm.HELD_OUT if held_out else Arm.TREATED for user, held_out in messages}
        return users, dict(self._read(select(Outcome.subject, Outcome.arm)))

    def _read(self, query: Executable) -> list[tuple[Any, ...]]:
        """In no transaction: our sessions may be idle in one for 3 seconds only."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return [tuple(row) for row in connection.execute(query)]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_database_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "sandbox")


@contextmanager
def an_endless_table(locks: int, pages: int = 0) -> Iterator[str]:
    """Its address."""
    command = [sys.executable, "-m", "tests.soak.endless_table", str(locks), str(pages)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:  # noqa: S603 - ours
        try:
            assert process.stdout
            yield f"http://{LOOPBACK}:{int(process.stdout.readline())}"
        finally:
            process.kill()


def let_it_go_on(address: str) -> None:
    connection = HTTPConnection(address.removeprefix("http://"), timeout=10)
    connection.request("POST", "/go-on")
    assert connection.getresponse().status == 200
    connection.close()


def map_locks(engine: Engine, locks: int) -> int:
    """How many rows the mapping has."""
    with engine.begin() as connection:
        connection.execute(text("create table public.lock_user_mapping (lock_id text, user_id text, fcm_id text)"))
        cursor = connection.connection.cursor()
        with cursor.copy("copy public.lock_user_mapping from stdin") as copy:
            for number in range(locks):
                for row in rows_of(number):
                    copy.write_row(row)
        connection.execute(text("create index on public.lock_user_mapping (lock_id)"))
        return int(connection.execute(text("select count(*) from public.lock_user_mapping")).scalar_one())


def watch(worker: psutil.Process, happened: Callable[[], bool], within_seconds: float) -> None:
    give_up = time.monotonic() + within_seconds
    while not happened():
        assert worker.is_running(), "the worker ended by itself"
        assert time.monotonic() < give_up, "it took too long"
        time.sleep(LOOK_AGAIN_SECONDS)


def assert_all_is_as_the_numbers_say(walk: Walk, expected: Expected) -> None:
    run = walk.run()
    assert run.left_out == expected.left_out
    assert run.noted == expected.noted
    assert run.targeted == len(expected.locks_by_user)
    assert walk.rows() == expected.rows
    assert walk.locks_by_user() == expected.locks_by_user
    users, locks = walk.arms()
    assert locks.keys() == {lock for of_user in expected.locks_by_user.values() for lock in of_user}
    assert set(locks.values()) == {Arm.TREATED, Arm.HELD_OUT}
    assert all(locks[lock] == users[user] for user, of_user in expected.locks_by_user.items() for lock in of_user)


def test_a_worker_killed_in_the_middle_of_a_snapshot_misses_nobody_and_counts_nothing_twice(
    engine: Engine, temporal_client: Client
) -> None:
    locks, pages, page = 3000, 40, 30
    map_locks(engine, locks)
    expected = Expected.of(locks)
    with an_endless_table(locks, pages) as address:
        walk = Walk(engine, temporal_client, address, page, heartbeat_seconds=3)
        walk.start()
        with walk.a_worker() as worker:
            watch(worker, lambda: walk.rows() > expected.rows / 4, within_seconds=60)
        assert not walk.is_over()
        stored = walk.rows()
        assert stored < expected.rows
        let_it_go_on(address)
        with walk.a_worker() as worker:
            watch(worker, walk.is_over, within_seconds=120)
    assert_all_is_as_the_numbers_say(walk, expected)


@pytest.mark.soak
def test_a_million_locks_are_taken_in_flat_memory_by_workers_that_are_killed_twice(
    engine: Engine, temporal_client: Client, pytestconfig: pytest.Config
) -> None:
    say = pytestconfig.get_terminal_writer().line
    expected = Expected.of(A_MILLION)
    say(f"{map_locks(engine, A_MILLION)} rows in the mapping, {expected.rows} of them to be found")
    with an_endless_table(A_MILLION) as address:
        walk = Walk(engine, temporal_client, address)
        walk.start()
        memory = _walk_and_be_killed(walk, expected.rows, (0.4, 0.6), say)
        _assert_they_can_be_read_again(address, engine)
    assert_all_is_as_the_numbers_say(walk, expected)
    assert memory[-1] <= 1.3 * memory[0], "memory grows with the walk"


def _walk_and_be_killed(walk: Walk, rows: int, kills: Sequence[float], say: Callable[[str], None]) -> list[float]:
    """The workers' memory at a tenth of the way, and at the end."""
    begun = time.monotonic()
    memory: list[float] = []

    def note(worker: psutil.Process, what: str) -> None:
        memory.append(worker.memory_info().rss / MEGABYTE)
        say(f"{time.monotonic() - begun:6.1f} s  {walk.rows():7} rows  {memory[-1]:6.1f} MB  {what}")

    for share in kills:
        with walk.a_worker() as worker:
            for mark in (mark for mark in (0.1, share) if walk.rows() < mark * rows):
                watch(worker, lambda mark=mark: walk.rows() >= mark * rows, within_seconds=1200)  # type: ignore[misc]
                note(worker, f"{mark:.0%}")
            assert not walk.is_over()
    with walk.a_worker() as worker:
        for mark in (0.75, 0.9, 1):
            watch(worker, lambda mark=mark: walk.rows() >= mark * rows, within_seconds=1200)  # type: ignore[misc]
            note(worker, f"{mark:.0%}")
        watch(worker, walk.is_over, within_seconds=1200)
        note(worker, "messages")
    return memory


def _assert_they_can_be_read_again(address: str, engine: Engine) -> None:
    locks = Locks(lambda: dynamodb_client(REGION, address), "locks", FIELD, engine)
    numbers = range(0, A_MILLION, 997)
    found = locks.last_checks([lock_of(number) for number in [*numbers, A_MILLION]])
    checked = {"fresh": Standing.CHECKED, "stale": Standing.CHECKED}
    assert {lock: check.standing for lock, check in found.items()} == {
        lock_of(number): checked.get(standing_of(number), standing_of(number)) for number in numbers
    }
