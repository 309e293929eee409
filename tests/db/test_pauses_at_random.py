"""The ledger itself, paused and resumed at random by every clock: nobody is lost, and nobody sent early."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db import control
from db.decisions import Claim
from db.outcomes import Outcome
from domain.clock import ClockPolicy
from domain.ladder import Send
from domain.states import HANDED_OVER, AttemptState, FailureKind, RunState
from tests.db.scene import RELEASED, SENT, UNKNOWN, Scene, a_plan, failed
from tests.fakes import a_person

PEOPLE = 24
STEPS = 30
TTL = timedelta(minutes=10)
OUTCOMES = [SENT] * 12 + [UNKNOWN, RELEASED, *map(failed, FailureKind)]
A_WHILE = [timedelta(seconds=2), timedelta(minutes=3), timedelta(minutes=7)]
SHORT_OF_A_TTL = A_WHILE[:2]


@dataclass
class Play:
    """A run whose hours pass at once; what a provider took stands in a notebook of its own."""

    scene: Scene
    lot: random.Random
    run_id: UUID
    passed: timedelta = timedelta()
    accepted_at: dict[UUID, datetime] = field(default_factory=dict)
    shifts: list[tuple[datetime, datetime]] = field(default_factory=list)
    in_flight: list[Claim] = field(default_factory=list)
    policies: set[ClockPolicy] = field(default_factory=set)
    paused_at: datetime | None = None
    sent: int = 0
    fallbacks: int = 0

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.passed

    def let_pass(self, length: timedelta) -> None:
        self.scene.let_pass(self.run_id, length)
        self.passed += length

    def look_at_all(self) -> None:
        for message_id in self.scene.ids(self.run_id):
            step = self.scene.decide(message_id, None).step
            if isinstance(step, Send):
                self.send(message_id, step.channel)

    def send(self, message_id: UUID, channel: str) -> None:
        claim = self.scene.claim(message_id, channel)
        assert self.paused_at is None, "sent in a pause"
        self.assert_time_is_up(message_id, claim)
        self.sent += 1
        # Some stay in flight for a while, and some for ever.
        if self.lot.random() < 0.2:
            self.in_flight.append(claim)
        else:
            self.settle(claim)

    def settle(self, claim: Claim) -> None:
        outcome: Outcome = self.lot.choice(OUTCOMES)
        at = self.now
        self.scene.settle(claim, outcome)
        if outcome is SENT:
            self.accepted_at[claim.attempt_id] = at

    def assert_time_is_up(self, message_id: UUID, claim: Claim) -> None:
        earlier = [each for each in self.scene.attempts(message_id) if each.number < claim.number]
        for attempt in earlier:
            if AttemptState(attempt.state) in HANDED_OVER and attempt.id in self.accepted_at:
                since = self.accepted_at[attempt.id]
                self.fallbacks += 1
                shifted = [over - max(begun, since) for begun, over in self.shifts if over > since]
                assert self.now - since - sum(shifted, timedelta()) >= TTL, "sent before its time was up"

    def pause_or_resume(self) -> None:
        if self.paused_at is None:
            self.let_pass(timedelta(seconds=3))  # what is in flight is older than a hand-over may be
            control.pause(self.scene.engine, self.run_id, "test")
            self.paused_at = self.now
            return
        policy = self.lot.choice([ClockPolicy.SHIFT, *ClockPolicy])  # it alone moves a deadline
        if policy is ClockPolicy.SHIFT:
            self.shifts.append((self.paused_at, self.now))
        self.policies.add(policy)
        control.resume(self.scene.engine, self.run_id, "test", policy)
        self.paused_at = None

    def answer_somebody(self) -> None:
        if self.accepted_at:
            self.scene.acknowledge(self.lot.choice(list(self.accepted_at)))

    def record_what_was_in_flight(self) -> None:
        while self.in_flight and self.lot.random() < 0.7:
            self.settle(self.in_flight.pop())

    def go_on_to_the_end(self) -> None:
        if self.paused_at is not None:
            self.pause_or_resume()
        for _ in range(200):
            self.look_at_all()
            if self.scene.proof(self.run_id).unfinished == 0:
                return
            self.let_pass(timedelta(minutes=6))
        raise AssertionError(f"lost: {self.scene.proof(self.run_id)}")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_paused_and_resumed_nobody_is_lost_and_the_ledger_balances(scene: Scene, seed: int) -> None:
    plan = a_plan(ttl_seconds=int(TTL.total_seconds()), max_lateness_seconds=6 * 3600)
    run_id = scene.opened(*(a_person(number, device=number % 3 > 0) for number in range(PEOPLE)), plan=plan)
    play = Play(scene, random.Random(seed), run_id)  # noqa: S311 - a lot that can be drawn again
    for _ in range(STEPS):
        doing = play.lot.choice([*[play.look_at_all] * 3, *[play.pause_or_resume] * 3, play.answer_somebody])
        doing()
        play.record_what_was_in_flight()
        # A ttl passes in a pause rather than outside: else no pause would matter.
        play.let_pass(play.lot.choice(A_WHILE if play.paused_at else SHORT_OF_A_TTL))
        assert scene.proof(run_id).balanced
    play.go_on_to_the_end()
    proof = scene.proof(run_id)
    assert (proof.balanced, proof.rows) == (True, PEOPLE)
    assert play.sent >= PEOPLE
    assert play.fallbacks
    assert ClockPolicy.SHIFT in play.policies
    assert scene.run(run_id).state is RunState.RUNNING
