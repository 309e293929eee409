"""What happens next to a message: decided here, without I/O, for the workflow, the cohort and the rehearsal alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from domain.arbiter import NO_ADDRESS, Deferred, Refused, arbitrate, permitted_addresses, refusal, without_their_word
from domain.backoff import TRIED_AGAIN, jitter
from domain.clock import RunClock
from domain.hand_over import ADVANCE_TIMEOUT
from domain.persons import PersonFacts
from domain.plan import Plan, Rung
from domain.states import (
    HANDED_OVER,
    RUNS_THAT_SEND,
    AttemptState,
    FailureKind,
    HoldReason,
    MessageState,
    RunState,
)
from domain.verdicts import Verdict

UNSETTLED_FOR = ADVANCE_TIMEOUT + timedelta(seconds=1)
"""How long a try may be in flight before it counts as dead: longer than the sending activity may take."""


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    number: int
    channel: str
    address: str
    state: AttemptState
    claimed_at: datetime
    deadline: datetime | None = None
    """In run time."""
    failure: FailureKind | None = None
    retry_at: datetime | None = None
    """In wall time: no next try with this channel before it."""
    verdict: Verdict | None = None
    """An operator's, where the outcome was not known."""

    @property
    def written_off(self) -> bool:
        """To be tried again, an operator says: this try blocks nothing and counts for nothing."""
        return self.state is AttemptState.UNKNOWN and self.verdict is Verdict.RETRY


@dataclass(frozen=True, slots=True)
class MessageFacts:
    id: UUID
    state: MessageState
    attempts: tuple[AttemptFacts, ...] = ()
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    position: int = 1
    ended: bool = False
    acknowledges: bool = False
    """Whether a device of ours is expected to answer; where not, silence is normal."""
    held_out: bool = False
    """Assigned to the arm that is not sent anything; marked where it would have been."""
    answered: bool = False
    """Acknowledged, or clicked by a person where the plan awaits a click."""

    @property
    def newest(self) -> AttemptFacts | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def handed_over(self) -> AttemptFacts | None:
        """The newest that a provider took; a newer try may have failed, when the receipt came late."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.state in HANDED_OVER), None)


@dataclass(frozen=True, slots=True)
class RunFacts:
    state: RunState
    started_at: datetime
    clock: RunClock = field(default_factory=RunClock)
    released_up_to: int | None = None


@dataclass(frozen=True, slots=True)
class Send:
    channel: str
    address: str


@dataclass(frozen=True, slots=True)
class Wait:
    until: datetime | None
    """Wall time; None when only a nudge can change something."""
    reason: HoldReason


@dataclass(frozen=True, slots=True)
class Done:
    state: MessageState
    reason: str | None = None


Step = Send | Wait | Done


def next_step(message: MessageFacts, plan: Plan, run: RunFacts, person: PersonFacts, now: datetime) -> Step:
    """The one decision. `now` is wall time by the database's clock."""
    if message.ended:
        return Done(message.state)
    if message.answered:
        return Done(MessageState.DELIVERED)
    newest = message.newest
    if newest and newest.state is AttemptState.SENDING:
        return Wait(newest.claimed_at + UNSETTLED_FOR, HoldReason.IN_FLIGHT)
    if message.handed_over and (awaiting := _still_awaited(message.handed_over, plan, run, now)):
        return awaiting
    candidate = _next_candidate(message, plan, person)
    if candidate is None or run.state is RunState.CANCELLED or _too_late_for_a_fallback(message, plan, run, now):
        # What was handed over ends by its own answer, whatever was said since.
        refused = None if message.handed_over else _refusal(message, plan, person)
        return ending(message, cancelled=run.state is RunState.CANCELLED, refused=refused)
    ruling = arbitrate(plan, person, now, count_caps=not _follows_a_hand_over(message))
    held_back = _held_back(candidate, message, plan, run, ruling=ruling, now=now)
    return held_back or (Done(MessageState.HELD_OUT) if message.held_out else candidate)


def following_channel(message: MessageFacts, plan: Plan, person: PersonFacts) -> str | None:
    """The channel that a message would go to next, so that its workflow need not ask the wrong queue first."""
    candidate = _next_candidate(message, plan, person)
    return candidate.channel if candidate else None


def ending(message: MessageFacts, *, cancelled: bool = False, refused: str | None = None) -> Done:
    """How a message ends that will not be sent again, from its attempts alone; the proof computes it anew.

    `refused`: the person's word without which it would have been sent again.
    """
    states = {attempt.state for attempt in message.attempts}
    if message.answered:
        return Done(MessageState.DELIVERED)
    if states & HANDED_OVER:
        # One that ended as unknown and turns out to have been sent was never waited for: it did not expire.
        waited = not message.ended or AttemptState.EXPIRED in states
        return Done(MessageState.EXPIRED if message.acknowledges and waited else MessageState.SENT)
    if AttemptState.UNKNOWN in states:
        return Done(MessageState.UNKNOWN)
    if cancelled:
        return Done(MessageState.WITHDRAWN, "run_cancelled")
    if refused is None and AttemptState.FAILED in states:
        return Done(MessageState.FAILED)
    return Done(MessageState.SUPPRESSED, refused or NO_ADDRESS)


def unfinished_state(attempts: tuple[AttemptFacts, ...]) -> MessageState:
    """Where a message stands that has not ended, from its attempts alone."""
    if attempts and attempts[-1].state is AttemptState.SENDING:
        return MessageState.SENDING
    handed_over = any(attempt.state in HANDED_OVER for attempt in attempts)
    return MessageState.SENT if handed_over else MessageState.PLANNED


def _still_awaited(sent: AttemptFacts, plan: Plan, run: RunFacts, now: datetime) -> Wait | None:
    if not plan.awaits or sent.deadline is None or run.clock.run_time(now) >= sent.deadline:
        return None
    until = run.clock.wall_time(sent.deadline)
    return Wait(until, HoldReason.AWAITING if until else HoldReason.PAUSED)


def _next_candidate(message: MessageFacts, plan: Plan, person: PersonFacts) -> Send | None:
    if message.handed_over and not plan.awaits:
        return None
    for rung in plan.ladder[_reached(message, plan) :]:
        address = _address_on(rung, message, plan, person)
        if address is _UNCERTAIN:
            return None
        if address is not None:
            return Send(rung.channel, address)
    return None


def _reached(message: MessageFacts, plan: Plan) -> int:
    """The newest try's rung; an operator's `retry` takes the ladder back to the rung where that is still to be done."""
    newest_on = {attempt.channel: attempt for attempt in message.attempts}
    places = (
        place
        for place, rung in enumerate(plan.ladder)
        if (newest := newest_on.get(rung.channel)) and (newest is message.newest or newest.written_off)
    )
    return min(places, default=0)


def _refusal(message: MessageFacts, plan: Plan, person: PersonFacts) -> str | None:
    if _next_candidate(message, *without_their_word(plan, person)) is None:
        return None
    return refusal(plan, person, message.addresses)


_UNCERTAIN = ""
"""In place of an address: a try here may have arrived and must not be repeated, nor followed by another rung."""


def _address_on(rung: Rung, message: MessageFacts, plan: Plan, person: PersonFacts) -> str | None:
    tries = [attempt for attempt in message.attempts if attempt.channel == rung.channel and not attempt.written_off]
    if any(attempt.state is AttemptState.UNKNOWN for attempt in tries) and not rung.retries_unknown:
        return _UNCERTAIN
    if any(attempt.state in HANDED_OVER or _ends_the_rung(attempt) for attempt in tries):
        return None
    if sum(attempt.failure in TRIED_AGAIN for attempt in tries) >= rung.max_tries:
        return None
    if sum(attempt.state is AttemptState.UNKNOWN for attempt in tries) >= rung.max_unknown:
        return None
    dead = {attempt.address for attempt in tries if _dead(attempt)}
    permitted = permitted_addresses(plan, person, rung.channel, message.addresses.get(rung.channel, ()))
    return next((address for address in permitted if address not in dead), None)


def _dead(attempt: AttemptFacts) -> bool:
    return attempt.failure is FailureKind.ADDRESS_REJECTED


def _ends_the_rung(attempt: AttemptFacts) -> bool:
    return attempt.state is AttemptState.FAILED and attempt.failure not in TRIED_AGAIN and not _dead(attempt)


def _too_late_for_a_fallback(message: MessageFacts, plan: Plan, run: RunFacts, now: datetime) -> bool:
    last = message.handed_over
    if last is None or last.deadline is None:
        return False
    allowed = plan.max_lateness_seconds
    lateness = plan.rung(last.channel).ttl if allowed is None else timedelta(seconds=allowed)
    return run.clock.run_time(now) > last.deadline + lateness


def _held_back(
    candidate: Send,
    message: MessageFacts,
    plan: Plan,
    run: RunFacts,
    *,
    ruling: Deferred | Refused | None,
    now: datetime,
) -> Step | None:
    """The rules between a message and its sending: past valid-until it ends, otherwise it waits."""
    if isinstance(ruling, Refused):
        return ending(message, refused=ruling.reason)
    wait = (
        _hold_by_run(message, run)
        or _hold_by_provider(candidate, message.newest, now)
        or _hold_by_person(message, ruling)
    )
    if plan.valid_for_seconds is None:
        return wait
    valid_until = run.started_at + timedelta(seconds=plan.valid_for_seconds)
    if now >= valid_until:
        end = ending(message)
        untouched = end.state is MessageState.SUPPRESSED
        return Done(MessageState.SUPPRESSED, wait.reason if wait else "valid_until") if untouched else end
    if wait is None:
        return None
    return Wait(min(wait.until, valid_until) if wait.until else valid_until, wait.reason)


def _hold_by_run(message: MessageFacts, run: RunFacts) -> Wait | None:
    if run.state is RunState.PAUSED:
        return Wait(None, HoldReason.PAUSED)
    if run.state not in RUNS_THAT_SEND:
        return Wait(None, HoldReason.NOT_STARTED)
    if run.released_up_to is not None and message.position > run.released_up_to:
        return Wait(None, HoldReason.NOT_RELEASED)
    return None


def _hold_by_provider(candidate: Send, newest: AttemptFacts | None, now: datetime) -> Wait | None:
    if newest is None or newest.channel != candidate.channel or newest.written_off:
        return None
    if newest.retry_at is None or newest.retry_at <= now:
        return None
    released = newest.state is AttemptState.RELEASED
    return Wait(newest.retry_at, HoldReason.HAND_OVER_LIMIT if released else HoldReason.PROVIDER_BUSY)


def _hold_by_person(message: MessageFacts, ruling: Deferred | None) -> Wait | None:
    if ruling is None:
        return None
    # Thousands share a window's opening: spread them over a minute, each always at the same second.
    spread = timedelta() if ruling.reason is HoldReason.CAP else jitter(message.id, timedelta(minutes=1))
    return Wait(ruling.until + spread, ruling.reason)


def _follows_a_hand_over(message: MessageFacts) -> bool:
    return unfinished_state(message.attempts) is MessageState.SENT
