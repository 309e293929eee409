"""A driver of the ladder for one message in virtual time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from domain.clock import ClockPolicy, RunClock
from domain.consequences import answered, claimed, decided, judged, settled, with_attempt
from domain.ladder import Done, MessageFacts, RunFacts, Send, Step, Wait, ending, next_step, unfinished_state
from domain.persons import PersonFacts
from domain.plan import Plan
from domain.states import AttemptState, FailureKind, MessageState, RunState
from domain.verdicts import Verdict

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MESSAGE = UUID("6f1f6a5e-0000-4000-8000-000000000001")

Answer = AttemptState | FailureKind
"""What a provider does with a try: an attempt's state, or a kind of failure."""


@dataclass
class VirtualRun:
    plan: Plan
    message: MessageFacts
    answers: Iterator[Answer]
    run: RunFacts = field(default_factory=lambda: RunFacts(RunState.RUNNING, START))
    person: PersonFacts = field(default_factory=PersonFacts)
    now: datetime = START
    sent_at: list[tuple[datetime, str]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def look(self) -> Step:
        """One look at the message: what the ladder says is done to it."""
        step = next_step(self.message, self.plan, self.run, self.person, self.now)
        self.steps.append(step)
        if isinstance(step, Send):
            self._hand_over(step)
        else:
            self.message = decided(self.message, step)
        return step

    def drive(self, until: Callable[[], bool] = lambda: False, at_most: int = 400) -> Step:
        """Look, let time pass as the step says, look again: to the end, or to a wait that only a nudge ends."""
        for _ in range(at_most):
            step = self.look()
            if isinstance(step, Done) or until():
                return step
            if isinstance(step, Wait):
                if step.until is None:
                    return step
                self.now = max(step.until, self.now)
        raise AssertionError(f"no end after {at_most} looks: {self.steps[-5:]}")

    def pause(self) -> None:
        self.run = replace(
            self.run, state=RunState.PAUSED, clock=RunClock(self.run.clock.paused_total, paused_at=self.now)
        )

    def resume(self, policy: ClockPolicy = ClockPolicy.SHIFT) -> None:
        """As db/control.py does; whoever is overdue ends with it where the policy says so."""
        self.run = replace(self.run, state=RunState.RUNNING, clock=self.run.clock.resumed(self.now, policy))
        if policy is ClockPolicy.EXPIRE_OVERDUE and self._is_overdue():
            self.message = decided(self.message, ending(self.message))

    def cancel(self) -> None:
        if self.run.clock.paused_at:
            self.resume()
        self.run = replace(self.run, state=RunState.CANCELLED)

    def acknowledge(self) -> None:
        self.message = answered(self.message)

    def judge(self, verdict: Verdict) -> None:
        self.message = judged(self.message, verdict)

    def _is_overdue(self) -> bool:
        sent = self.message.handed_over
        if self.message.ended or self.message.state is not MessageState.SENT or not self.plan.awaits or sent is None:
            return False
        return sent.deadline is None or sent.deadline <= self.run.clock.run_time(self.now)

    def _hand_over(self, step: Send) -> None:
        answer = next(self.answers)
        failure = answer if isinstance(answer, FailureKind) else None
        state = answer if isinstance(answer, AttemptState) else AttemptState.FAILED
        if state is AttemptState.SENT:
            self.sent_at.append((self.now, step.channel))
        sending = claimed(self.message, step, self.now)
        number = len(sending.attempts)
        attempt = settled(sending, number, state, failure, plan=self.plan, run=self.run, now=self.now)
        after = with_attempt(sending, attempt)
        self.message = replace(after, state=unfinished_state(after.attempts))
