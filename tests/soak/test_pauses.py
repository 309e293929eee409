"""The real engine with many in flight, paused and resumed several times by every clock: nobody lost, nothing early."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import pytest
from temporalio.client import Client

from channels.interface import AddressRejectedError, OutcomeUnknownError, Outgoing, ProviderBusyError
from db.engine import create_database_engine
from domain.clock import ClockPolicy
from domain.states import HANDED_OVER, AttemptState
from tests.fakes import FakeChannel, People, a_person
from tests.stage import Stage

POLICIES = [ClockPolicy.SHIFT, ClockPolicy.KEEP, ClockPolicy.EXPIRE_OVERDUE]
Say = Callable[[str], None]


@pytest.fixture
def stage(database_url: str, temporal_client: Client) -> Iterator[Stage]:
    engine = create_database_engine(database_url)
    yield Stage(engine, temporal_client, People([]))
    engine.dispose()


@dataclass
class Pauses:
    """When each was answered, and when it was resumed."""

    stage: Stage
    say: Say
    lot: random.Random
    longest_seconds: float
    of: list[tuple[datetime, datetime]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    async def play(self, people: int, ttl_seconds: int, policies: list[ClockPolicy]) -> UUID:
        self.stage.people.recipients = [a_person(number, device=number % 4 > 0) for number in range(people)]
        self.let_providers_and_devices_answer_as_they_please()
        begun = time.monotonic()
        async with self.stage.working():
            run_id = (await self.stage.start(ttl_seconds=ttl_seconds, batch_size=200)).run_id
            for number, policy in enumerate(policies, 1):
                share = people * number // (len(policies) + 2)
                while self.accepted_by_all() < share:
                    await self.stage.until("more are accepted", self._more_are_accepted(self.accepted_by_all()))
                await self.pause_and_resume(run_id, policy)
                stands = self.stage.progress(run_id)
                passed, by_now = time.monotonic() - begun, self.accepted_by_all()
                self.say(f"{passed:6.1f} s  {policy}: {by_now} accepted by now, {stands.awaiting} awaited")
            while self.stage.run(run_id).closed_at is None:
                await self.stage.until("more has changed", self._changes(run_id))
                await self.stage.sweep()
        return run_id

    async def pause_and_resume(self, run_id: UUID, policy: ClockPolicy) -> None:
        await self.stage.pause(run_id)
        answered_at = datetime.now(UTC)
        held = self.stage.progress(run_id).held.get("paused", 0)
        # Long enough that some are overdue when it is resumed; held are those whose time was up meanwhile.
        await self.stage.until("more are held", lambda: self.stage.progress(run_id).held.get("paused", 0) > held)
        await asyncio.sleep(self.lot.uniform(0.25, 1) * self.longest_seconds)
        self.of.append((answered_at, datetime.now(UTC)))
        resumed = await self.stage.resume(run_id, policy)
        self.counts += Counter({"held": resumed.held, "overdue": resumed.overdue, "ended": resumed.ended})
        await self.stage.sweep()

    def let_providers_and_devices_answer_as_they_please(self) -> None:
        self.stage.let_devices_acknowledge("fcm", "mqtt", whom=lambda message: message.dedupe_id.int % 3 == 0)
        for channel in self.stage.channels.values():
            channel.behave = self._moody(channel, channel.behave)

    def _moody(
        self, channel: FakeChannel, answered: Callable[[Outgoing, str], None]
    ) -> Callable[[Outgoing, str], None]:
        def behave(message: Outgoing, address: str) -> None:
            mood = message.message_id.int % 20
            if mood == 0:
                raise ProviderBusyError("BUSY", "later", retry_after=1)
            if mood == 1:
                raise AddressRejectedError("GONE", "nobody is there")
            if mood == 2:
                channel.take(message, address)
                raise OutcomeUnknownError("CUT", "no answer")
            answered(message, address)

        return behave

    def _more_are_accepted(self, before: int) -> Callable[[], bool]:
        return lambda: self.accepted_by_all() > before

    def _changes(self, run_id: UUID) -> Callable[[], bool]:
        before = self.stage.progress(run_id)
        return lambda: self.stage.run(run_id).closed_at is not None or self.stage.progress(run_id) != before

    def accepted_by_all(self) -> int:
        return sum(len(channel.accepted) for channel in self.stage.channels.values())

    def handed_over_in_a_pause(self) -> int:
        """By the channels' own record, between a pause's answer and the order to resume."""
        times = [at for channel in self.stage.channels.values() for _, _, at in channel.accepted]
        return sum(answered <= at <= resumed for at in times for answered, resumed in self.of)


def assert_nobody_is_lost_and_the_books_agree(pauses: Pauses, run_id: UUID, people: int) -> dict[str, int]:
    stage = pauses.stage
    proof = stage.proof(run_id)
    assert (proof.balanced, proof.unfinished, proof.rows) == (True, 0, people)
    assert pauses.handed_over_in_a_pause() == 0
    attempts = {attempt.id: attempt.state for attempt in stage.attempts(run_id)}
    accepted = [message.message_id for channel in stage.channels.values() for message, _, _ in channel.accepted]
    assert len(accepted) == len(set(accepted))
    known = {each for each, state in attempts.items() if state in HANDED_OVER}
    assert known <= set(accepted) <= known | {each for each, state in attempts.items() if state == AttemptState.UNKNOWN}
    return proof.states


def play_and_prove(pauses: Pauses, people: int, ttl_seconds: int, policies: list[ClockPolicy]) -> None:
    run_id = asyncio.run(pauses.play(people, ttl_seconds, policies))
    states = assert_nobody_is_lost_and_the_books_agree(pauses, run_id, people)
    pauses.say(
        f"{people} people, {len(pauses.of)} pauses: {pauses.accepted_by_all()} hand-overs, 0 of them in a pause; "
        f"{dict(pauses.counts)} over all resumes; ended as {states}"
    )
    assert pauses.counts["held"] > 0
    assert pauses.counts["ended"] > 0


def test_a_run_that_is_paused_and_resumed_by_each_clock_loses_nobody_and_sends_nothing_meanwhile(
    stage: Stage, pytestconfig: pytest.Config
) -> None:
    say = pytestconfig.get_terminal_writer().line
    play_and_prove(Pauses(stage, say, random.Random(1), 3), 60, 2, POLICIES)  # noqa: S311 - a seed


@pytest.mark.soak
def test_three_thousand_in_flight_are_paused_and_resumed_six_times_and_nobody_is_lost(
    stage: Stage, pytestconfig: pytest.Config
) -> None:
    say = pytestconfig.get_terminal_writer().line
    play_and_prove(Pauses(stage, say, random.Random(9), 16), 3000, 120, POLICIES * 2)  # noqa: S311 - a seed
