"""A run in virtual time that is watched: what an outsider with a wall clock and a notebook would call an injustice."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import repeat
from zoneinfo import ZoneInfo

from domain.clock import ClockPolicy
from domain.consequences import claimed, settled, with_attempt
from domain.ladder import UNSETTLED_FOR, AttemptFacts, Done, Send, Step, Wait, ending, unfinished_state
from domain.proof import difference
from domain.rules import permitted_hours
from domain.states import AttemptState, FailureKind, HoldReason, MessageState, RunState, may_leave_its_end
from tests.domain.virtual import Answer, VirtualRun


@dataclass(frozen=True)
class Pause:
    begun: datetime
    over: datetime
    policy: ClockPolicy


@dataclass
class WatchedRun(VirtualRun):
    """Outcomes may take a while, or never come. It fails as soon as a message is sent, or given up, too early."""

    flights: Iterator[timedelta | None] = field(default_factory=lambda: repeat(timedelta()))
    """From each claim to the record of its outcome; None: the worker died with it."""
    pauses: list[Pause] = field(default_factory=list)
    claims: list[datetime] = field(default_factory=list)
    _under_way: list[tuple[datetime, int, Answer]] = field(default_factory=list)
    _accepted_at: dict[int, datetime] = field(default_factory=dict)

    def live(self, until: datetime) -> None:
        """Everything that falls due until then, at its time."""
        while True:
            self._let_outcomes_arrive()
            step = self.watch()
            if isinstance(step, Send):
                continue
            coming = [at for at, _, _ in self._under_way]
            if isinstance(step, Wait) and step.until is not None:
                coming.append(step.until)
            following = min((at for at in coming if at > self.now), default=until)
            self.now = min(following, until)
            if self.now == until:
                self._let_outcomes_arrive()
                return

    def watch(self) -> Step:
        """A look, and whether it was just."""
        self._settle_dead_try()
        had_ended = self.message.ended
        step = self.look()
        if isinstance(step, Done) and not had_ended:
            self._assert_not_given_up_early()
        if isinstance(step, Wait) and step.reason is HoldReason.AWAITING and step.until:
            self._assert_awaited_for_its_time(step.until)
        self.assert_balanced()
        return step

    def resume(self, policy: ClockPolicy = ClockPolicy.SHIFT) -> None:
        begun = self.run.clock.paused_at
        assert begun is not None
        self.pauses.append(Pause(begun, self.now, policy))
        had_ended = self.message.ended
        super().resume(policy)
        if self.message.ended and not had_ended:
            self._assert_not_given_up_early()

    def assert_balanced(self) -> None:
        assert difference(self.message) is None

    def _hand_over(self, step: Send) -> None:
        self._assert_may_be_sent(step)
        self.claims.append(self.now)
        self.message = claimed(self.message, step, self.now)
        flight = next(self.flights)
        if flight is not None:
            self._under_way.append((self.now + flight, len(self.message.attempts), next(self.answers)))
            self._let_outcomes_arrive()

    def _let_outcomes_arrive(self) -> None:
        """As db/outcomes.py records them, on time or long after the try counts as dead."""
        arrived = [each for each in self._under_way if each[0] <= self.now]
        self._under_way = [each for each in self._under_way if each[0] > self.now]
        for _, number, answer in arrived:
            if self._numbered(number).state in {AttemptState.SENDING, AttemptState.UNKNOWN}:
                self._record(number, answer)

    def _record(self, number: int, answer: Answer) -> None:
        failure = answer if isinstance(answer, FailureKind) else None
        state = answer if isinstance(answer, AttemptState) else AttemptState.FAILED
        if state is AttemptState.RELEASED and self._numbered(number).state is AttemptState.UNKNOWN:
            state, failure = AttemptState.FAILED, FailureKind.BUSY
        attempt = settled(self.message, number, state, failure, plan=self.plan, run=self.run, now=self.now)
        after = with_attempt(self.message, attempt)
        if state is AttemptState.SENT:
            self._accepted_at[number] = self.now
            self.sent_at.append((self.now, attempt.channel))
        if not after.ended:
            after = replace(after, state=unfinished_state(after.attempts))
        elif may_leave_its_end(after.state, new := ending(after).state):
            after = replace(after, state=new)
        self.message = after

    def _settle_dead_try(self) -> None:
        newest = self.message.newest
        if newest and newest.state is AttemptState.SENDING and self.now >= newest.claimed_at + UNSETTLED_FOR:
            self.message = with_attempt(self.message, replace(newest, state=AttemptState.UNKNOWN))

    def _assert_may_be_sent(self, step: Send) -> None:
        assert self.run.state is RunState.RUNNING, "sent in a pause"
        assert not self.message.answered, "sent although the answer is there"
        person, plan = self.person, self.plan
        hours = permitted_hours(plan.window, plan.quiet_hours if person.is_person else None)
        for zone in [person.zone] if person.zone else person.zone_candidates or [plan.zone]:
            assert self.now.astimezone(ZoneInfo(zone)).hour in hours, "sent outside the window"
        if plan.valid_for_seconds is not None:
            assert self.now < self.run.started_at + timedelta(seconds=plan.valid_for_seconds), "sent past valid-until"
        sent = self.message.handed_over
        if sent is None:
            counted = [send.at for send in person.recent_sends if person.is_person and send.priority >= plan.priority]
            for cap in plan.caps:
                recent = [at for at in counted if at > self.now - timedelta(days=cap.days)]
                assert len(recent) < cap.count, "sent beyond a cap"
        else:
            self._assert_time_is_up(sent)
        newest = self.message.newest
        if newest and newest.channel == step.channel and newest.retry_at:
            assert self.now >= newest.retry_at, "tried again before the provider's time"

    def _assert_not_given_up_early(self) -> None:
        sent = self.message.handed_over
        if sent and self.plan.awaits and self.message.state in {MessageState.EXPIRED, MessageState.SENT}:
            self._assert_time_is_up(sent)

    def _assert_time_is_up(self, sent: AttemptFacts) -> None:
        """By the wall clock and the notebook of pauses, not by run time; in a pause nobody's time goes on."""
        accepted_at = self._accepted_at[sent.number]
        waited = (self.run.clock.paused_at or self.now) - accepted_at - self._shifted_since(accepted_at)
        assert waited >= self.plan.rung(sent.channel).ttl, f"waited {waited} only"

    def _assert_awaited_for_its_time(self, until: datetime) -> None:
        sent = self.message.handed_over
        assert sent
        accepted_at = self._accepted_at[sent.number]
        time_up = accepted_at + self.plan.rung(sent.channel).ttl + self._shifted_since(accepted_at)
        # One that was recorded in a pause may be awaited longer, by the part of the pause before that.
        before = [accepted_at - each.begun for each in self.pauses if each.begun < accepted_at < each.over]
        assert time_up <= until <= time_up + sum(before, timedelta()), "awaited for another time than its own"

    def _shifted_since(self, moment: datetime) -> timedelta:
        shifts = [each for each in self.pauses if each.policy is ClockPolicy.SHIFT and each.over > moment]
        return sum((each.over - max(each.begun, moment) for each in shifts), timedelta())

    def _numbered(self, number: int) -> AttemptFacts:
        return self.message.attempts[number - 1]
