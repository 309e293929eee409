"""What a decision, an outcome or an answer does to the facts of a message: in virtual time what db/ does to rows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from domain.backoff import next_try_at
from domain.ladder import AttemptFacts, Done, MessageFacts, RunFacts, Send, Wait, ending, unfinished_state
from domain.plan import Plan
from domain.states import AttemptState, FailureKind, MessageState, may_leave_its_end
from domain.verdicts import Verdict


def claimed(message: MessageFacts, step: Send, now: datetime) -> MessageFacts:
    """A further attempt, `sending`; what was sent before it has been answered by silence."""
    message = left_silent(message)
    attempt = AttemptFacts(len(message.attempts) + 1, step.channel, step.address, AttemptState.SENDING, now)
    return replace(message, attempts=(*message.attempts, attempt), state=MessageState.SENDING)


def settled(
    message: MessageFacts,
    number: int,
    state: AttemptState,
    failure: FailureKind | None = None,
    *,
    plan: Plan,
    run: RunFacts,
    now: datetime,
    retry_after: float | None = None,
) -> AttemptFacts:
    """The attempt of that number with its outcome: until when it is awaited, or when its channel is tried again."""
    own = next(attempt for attempt in message.attempts if attempt.number == number)
    if state is AttemptState.SENT:
        deadline = run.clock.deadline(now, plan.rung(own.channel).ttl)
        return replace(own, state=state, failure=failure, deadline=deadline)
    tries = sum(attempt.channel == own.channel for attempt in message.attempts)
    retry_at = next_try_at(state, failure, tries, message.id, now=now, retry_after=retry_after)
    return replace(own, state=state, failure=failure, retry_at=retry_at)


def with_attempt(message: MessageFacts, attempt: AttemptFacts) -> MessageFacts:
    """In place of the one of its number."""
    return _with_attempts(message, lambda each: attempt if each.number == attempt.number else each)


def decided(message: MessageFacts, step: Wait | Done) -> MessageFacts:
    if isinstance(step, Wait):
        state = unfinished_state(message.attempts)
        return message if state is message.state else replace(message, state=state)
    if step.state is MessageState.EXPIRED:
        message = left_silent(message)
    return replace(message, state=step.state, ended=True)


def answered(message: MessageFacts) -> MessageFacts:
    """A device or a person has answered: an end that may be left for `delivered` is left."""
    message = replace(message, answered=True)
    if message.ended and may_leave_its_end(message.state, MessageState.DELIVERED):
        return replace(message, state=MessageState.DELIVERED)
    return message


def judged(message: MessageFacts, verdict: Verdict) -> MessageFacts:
    """An operator's verdict on a message that ended as `unknown`: all its unknown tries get it."""
    state = AttemptState.SENT if verdict is Verdict.WAS_SENT else AttemptState.UNKNOWN
    after = _with_attempts(
        message,
        lambda each: replace(each, state=state, verdict=verdict) if each.state is AttemptState.UNKNOWN else each,
    )
    if verdict is Verdict.WAS_SENT:
        return replace(after, state=ending(after).state)
    return replace(after, state=unfinished_state(after.attempts), ended=False)


def left_silent(message: MessageFacts) -> MessageFacts:
    if not any(attempt.state is AttemptState.SENT for attempt in message.attempts):
        return message
    return _with_attempts(
        message,
        lambda each: replace(each, state=AttemptState.EXPIRED) if each.state is AttemptState.SENT else each,
    )


def _with_attempts(message: MessageFacts, change: Callable[[AttemptFacts], AttemptFacts]) -> MessageFacts:
    return replace(message, attempts=tuple(map(change, message.attempts)))
