"""A driver of the ladder in virtual time: it does to facts in memory what db/decisions.py does to rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from domain.backoff import next_try_at
from domain.clock import RunClock
from domain.ladder import AttemptFacts, Done, MessageFacts, RunFacts, Send, Step, Wait, next_step, unfinished_state
from domain.persons import PersonFacts
from domain.plan import Plan
from domain.states import AttemptState, FailureKind, MessageState, RunState, may_leave_its_end

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
        match step:
            case Send(channel=channel, address=address):
                self._settle_silence()
                self._hand_over(channel, address)
            case Wait():
                self.message = replace(self.message, state=unfinished_state(self.message.attempts))
            case Done(state=state):
                if state is MessageState.EXPIRED:
                    self._settle_silence()
                self.message = replace(self.message, state=state, ended=True)
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

    def resume(self) -> None:
        paused_at = self.run.clock.paused_at
        assert paused_at is not None
        total = self.run.clock.paused_total + (self.now - paused_at)
        self.run = replace(self.run, state=RunState.RUNNING, clock=RunClock(total))

    def cancel(self) -> None:
        if self.run.clock.paused_at:
            self.resume()
        self.run = replace(self.run, state=RunState.CANCELLED)

    def acknowledge(self) -> None:
        """As db/facts.py does: an end that may be left for `delivered` is left."""
        self.message = replace(self.message, answered=True)
        if self.message.ended and may_leave_its_end(self.message.state, MessageState.DELIVERED):
            self.message = replace(self.message, state=MessageState.DELIVERED)

    def _hand_over(self, channel: str, address: str) -> None:
        answer = next(self.answers)
        number = len(self.message.attempts) + 1
        attempt = AttemptFacts(number, channel, address, AttemptState.SENDING, self.now)
        attempt = self._answered(attempt, answer)
        if answer is AttemptState.SENT:
            self.sent_at.append((self.now, channel))
        attempts = (*self.message.attempts, attempt)
        self.message = replace(self.message, attempts=attempts, state=unfinished_state(attempts))

    def _answered(self, attempt: AttemptFacts, answer: Answer) -> AttemptFacts:
        failure = answer if isinstance(answer, FailureKind) else None
        state = answer if isinstance(answer, AttemptState) else AttemptState.FAILED
        if state is AttemptState.SENT:
            deadline = self.run.clock.run_time(self.now) + self.plan.rung(attempt.channel).ttl
            return replace(attempt, state=state, deadline=deadline)
        retry_at = next_try_at(state, failure, attempt.number, MESSAGE, now=self.now)
        return replace(attempt, state=state, failure=failure, retry_at=retry_at)

    def _settle_silence(self) -> None:
        silent = tuple(
            replace(attempt, state=AttemptState.EXPIRED) if attempt.state is AttemptState.SENT else attempt
            for attempt in self.message.attempts
        )
        self.message = replace(self.message, attempts=silent)
