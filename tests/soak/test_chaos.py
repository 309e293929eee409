"""Workers killed with -9 between claim and record, again and again: the ledger beside FCM's own book."""

import asyncio
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select
from temporalio.client import Client

from db.engine import create_database_engine, transaction
from db.facts import TakenAcknowledgement
from db.ledger import Progress
from db.tables import Attempt
from domain.hand_over import ADVANCE_TIMEOUT
from domain.states import HANDED_OVER, AttemptState
from sandbox.fcm import AcceptedPush, FcmSimulator
from tests.fakes import People
from tests.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
SLOW_SECONDS = 0.3
"""From the whole request to the answer: where most kills land."""
WORKER_DIED = "worker_died"
Say = Callable[[str], None]


@pytest.fixture
def stage(database_url: str, temporal_client: Client) -> Iterator[Stage]:
    engine = create_database_engine(database_url)
    yield Stage(engine, temporal_client, People([]))
    engine.dispose()


@pytest.fixture
def fcm(tmp_path: Path) -> Iterator[FcmSimulator]:
    with FcmSimulator(tmp_path, slow_seconds=SLOW_SECONDS) as running:
        yield running


@dataclass(frozen=True)
class Figures:
    kills: int
    in_flight: int
    """Claims that the kills found without a record."""
    messages: int
    accepted: int
    doubles: int
    unknown: int
    """Attempts that were unknown, whatever came to be known of them."""

    def __str__(self) -> str:
        return (
            f"{self.kills} kills found {self.in_flight} claims without a record; {self.messages} messages, "
            f"{self.accepted} pushes accepted, {self.doubles} doubles, all unknown first; "
            f"{self.unknown} attempts were unknown; 0 lost"
        )


@dataclass
class Chaos:
    stage: Stage
    fcm: FcmSimulator
    database_url: str
    people: int
    lot: random.Random
    step_seconds: float = ADVANCE_TIMEOUT.total_seconds()
    in_flight: list[set[UUID]] = field(default_factory=list)
    """For each kill, the claims that it found without a record; it may take three kills until one is settled."""
    answers: list[Future[TakenAcknowledgement]] = field(default_factory=list)
    run_id: UUID = field(init=False)

    async def play(self, kills: int, ttl_seconds: int, say: Say) -> None:
        begun = time.monotonic()
        self.let_half_of_the_phones_acknowledge()
        self.run_id = (await self.stage.start(ttl_seconds=ttl_seconds)).run_id
        for number in range(1, kills + 1):
            await self.work_until_killed()
            passed = time.monotonic() - begun
            found, accepted = len(self.in_flight[-1]), len(self.fcm.accepted)
            say(f"{passed:6.1f} s  kill {number:2}: {found:2} in flight, {accepted} accepted")
        with self.a_worker():
            await self.closed()
        for answer in self.answers:
            answer.result(60)

    async def work_until_killed(self) -> None:
        with self.a_worker() as worker:
            enough = len(self.fcm.accepted) + self.lot.randint(1, 30)
            await self.stage.until("some more are accepted", lambda: len(self.fcm.accepted) >= enough)
            worker.kill()
            worker.wait()
        assert not self.is_closed(), "it ended before it was killed"
        self.in_flight.append({attempt.id for attempt in self.attempts() if attempt.state == AttemptState.SENDING})

    @contextmanager
    def a_worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """It is killed with -9 at the latest when the block is left."""
        address = self.stage.client.service_client.config.target_host
        told = self.fcm.environment
        servers = [self.database_url, address, self.stage.queue, told["GOOGLE_APPLICATION_CREDENTIALS"]]
        command = [sys.executable, "-m", "tests.soak.fcm_worker", *servers, str(self.people), str(self.step_seconds)]
        with subprocess.Popen(command, cwd=ROOT, env=told) as process:  # noqa: S603 - ours
            try:
                yield process
            finally:
                process.kill()

    def let_half_of_the_phones_acknowledge(self) -> None:
        """Each as soon as it has the push, which is often before its send is recorded, or never will be."""
        loop = asyncio.get_running_loop()

        def answer(push: AcceptedPush) -> None:
            if push.message_id and UUID(push.dedupe_id).int % 2:
                acknowledging = self.stage.acknowledge(UUID(push.message_id))
                self.answers.append(asyncio.run_coroutine_threadsafe(acknowledging, loop))

        self.fcm.on_accepted(answer)

    async def closed(self) -> None:
        while not await asyncio.to_thread(self.is_closed):
            await self.stage.until("more has changed", self._changes(self.stage.progress(self.run_id)))

    def _changes(self, before: Progress) -> Callable[[], bool]:
        return lambda: self.is_closed() or self.stage.progress(self.run_id) != before

    def is_closed(self) -> bool:
        return self.stage.run(self.run_id).closed_at is not None

    def attempts(self) -> list[Attempt]:
        return self.stage.attempts(self.run_id)


def assert_ledger_and_book_agree(chaos: Chaos) -> Figures:
    """Message by message: nobody lost, nothing invented, and no double that was not `unknown` first."""
    proof = chaos.stage.proof(chaos.run_id)
    assert (proof.balanced, proof.unfinished, proof.rows) == (True, 0, chaos.people)
    attempts = {attempt.id: attempt for attempt in chaos.attempts()}
    accepted = [UUID(push.message_id) for push in chaos.fcm.accepted if push.message_id]
    assert len(accepted) == len(set(accepted)) == len(chaos.fcm.accepted)
    known = {attempt.id for attempt in attempts.values() if attempt.state in HANDED_OVER}
    assert set(accepted) <= known | {each.id for each in attempts.values() if was_unknown(each)}
    assert known <= set(accepted)
    of_message: dict[UUID, list[Attempt]] = defaultdict(list)
    for attempt_id in accepted:
        of_message[attempts[attempt_id].message_id].append(attempts[attempt_id])
    doubles = 0
    for taken in of_message.values():
        in_order = sorted(taken, key=lambda attempt: attempt.number)
        doubles += len(in_order) - 1
        assert all(was_unknown(earlier) for earlier, _ in pairwise(in_order)), "a silent double"
    assert set(of_message) | not_accepted(chaos) == {message.id for message in chaos.stage.messages(chaos.run_id)}
    unknown = sum(map(was_unknown, attempts.values()))
    kills = len(chaos.in_flight)
    return Figures(kills, len(set().union(*chaos.in_flight)), chaos.people, len(accepted), doubles, unknown)


def was_unknown(attempt: Attempt) -> bool:
    """An acknowledgement that came later has made it `delivered`, and left why it was unknown."""
    return attempt.state == AttemptState.UNKNOWN or attempt.error_code == WORKER_DIED


def not_accepted(chaos: Chaos) -> set[UUID]:
    """Messages of which no attempt reached the book: the ledger must not say that one was handed over."""
    with transaction(chaos.stage.engine) as session:
        tries = select(Attempt.message_id, func.array_agg(Attempt.state)).where(Attempt.run_id == chaos.run_id)
        states = session.execute(tries.group_by(Attempt.message_id)).all()
    return {message_id for message_id, of_it in states if not HANDED_OVER & set(of_it)}


def play_and_compare(chaos: Chaos, kills: int, ttl_seconds: int, pytestconfig: pytest.Config) -> Figures:
    say = pytestconfig.get_terminal_writer().line
    asyncio.run(chaos.play(kills, ttl_seconds, say))
    figures = assert_ledger_and_book_agree(chaos)
    say(str(figures))
    return figures


def test_three_kills_between_claim_and_record_lose_nothing_and_double_nothing_in_silence(
    stage: Stage, fcm: FcmSimulator, database_url: str, pytestconfig: pytest.Config
) -> None:
    chaos = Chaos(stage, fcm, database_url, people=60, lot=random.Random(3), step_seconds=4)  # noqa: S311 - a seed
    figures = play_and_compare(chaos, 3, 2, pytestconfig)
    assert figures.in_flight > 0, "no kill hit a send: the test shows nothing"
    assert figures.doubles > 0, "no kill hit a push that was accepted: the test shows little"


@pytest.mark.soak
def test_forty_kills_between_claim_and_record_lose_nothing_and_double_nothing_in_silence(
    stage: Stage, fcm: FcmSimulator, database_url: str, pytestconfig: pytest.Config
) -> None:
    chaos = Chaos(stage, fcm, database_url, people=1000, lot=random.Random(40))  # noqa: S311 - a seed
    figures = play_and_compare(chaos, 40, 10, pytestconfig)
    assert figures.in_flight >= 40
    assert figures.doubles > 0
