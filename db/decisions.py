"""The decision on a message, made under its locks and written down in the same transaction."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, insert, update
from sqlalchemy.orm import Session

from db.situation import Situation, take_situation
from db.tables import ATTEMPTS, DEFERRALS, MESSAGES, Attempt, Message
from domain.hashing import AddressHasher
from domain.ladder import (
    UNSETTLED_FOR,
    Done,
    MessageFacts,
    Send,
    Step,
    Wait,
    following_channel,
    next_step,
    unfinished_state,
)
from domain.persons import PersonFacts
from domain.states import AttemptState, HoldReason, MessageState

_INSERT_ATTEMPT = insert(ATTEMPTS)
_INSERT_DEFERRAL = insert(DEFERRALS)
_CHANGE_MESSAGE = update(MESSAGES).where(
    MESSAGES.c.id == bindparam("of_message"),
    MESSAGES.c.state == bindparam("old_state"),
    MESSAGES.c.ended_at.is_(None),
)
"""What is set comes with the values."""

_NOT_HELD = frozenset({HoldReason.AWAITING, HoldReason.IN_FLIGHT})
_PUT_OFF = frozenset({HoldReason.WINDOW, HoldReason.QUIET_HOURS, HoldReason.CAP, HoldReason.PROVIDER_BUSY})
"""By a person's rules or a provider; each such deferral is kept, to be told afterwards."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt, written as `sending`: whoever holds this must hand it over at once, or release it."""

    attempt_id: UUID
    message_id: UUID
    channel: str
    address: str
    ttl_seconds: int
    claimed_at: datetime
    text: dict[str, Any]
    number: int
    """Of the attempt."""
    person: PersonFacts
    """As they were found."""


@dataclass(frozen=True, slots=True)
class Decision:
    step: Step
    now: datetime
    """By the database's clock."""
    channel: str | None = None
    """Where the message would go next; whose queue to ask on."""
    claim: Claim | None = None


def decide(
    session: Session,
    message_id: UUID,
    hash_address: AddressHasher,
    *,
    send_on: str | None = None,
    not_ready_for: timedelta | None = None,
) -> Decision | None:
    """What happens next to a message, and its rows changed accordingly. None: the message was erased.

    A claim is made only where the step is to send on `send_on`; `not_ready_for` says that this channel could not be
    prepared and how long to leave it alone.
    """
    situation = take_situation(session, message_id, hash_address)
    if situation is None:
        return None
    situation = _settle_dead_try(session, situation)
    step = next_step(situation.message, situation.plan, situation.run, situation.person, situation.now)
    channel = following_channel(situation.message, situation.plan, situation.person)
    # The held out wait for a channel like everybody: else an outage would make the arms unlike.
    would_send = isinstance(step, Send) or step == Done(MessageState.HELD_OUT)
    if would_send and channel == send_on and not_ready_for is not None:
        step = Wait(situation.now + not_ready_for, HoldReason.PROVIDER_BUSY)
    claim = _write(session, situation, step, send_on)
    return Decision(step, situation.now, step.channel if isinstance(step, Send) else channel, claim)


def _settle_dead_try(session: Session, situation: Situation) -> Situation:
    """A try that is still `sending` so late has died between claim and record: whether it arrived is not known."""
    newest = situation.message.newest
    if newest is None or newest.state is not AttemptState.SENDING or situation.now < newest.claimed_at + UNSETTLED_FOR:
        return situation
    session.execute(
        update(Attempt)
        .where(Attempt.message_id == situation.message.id, Attempt.number == newest.number, Attempt.state == "sending")
        .values(
            state=AttemptState.UNKNOWN,
            error_code="worker_died",
            error_text="no outcome was recorded: the worker ended between claim and record",
            settled_at=situation.now,
        )
    )
    settled = replace(newest, state=AttemptState.UNKNOWN)
    message = replace(situation.message, attempts=(*situation.message.attempts[:-1], settled))
    return replace(situation, message=message)


def _write(session: Session, situation: Situation, step: Step, send_on: str | None) -> Claim | None:
    match step:
        case Send(channel=channel) if channel == send_on:
            _expire_answered_by_silence(session, situation)
            return _claim(session, situation, step)
        case Send():
            _expire_answered_by_silence(session, situation)
            _hold(session, situation.message, due_at=situation.now, reason=None)
        case Wait(until=until, reason=reason):
            _keep_deferral(session, situation, step)
            _hold(session, situation.message, due_at=until, reason=None if reason in _NOT_HELD else reason)
        case Done():
            if step.state is MessageState.EXPIRED:
                _expire_answered_by_silence(session, situation)
            _end(session, situation, step)
    return None


def _claim(session: Session, situation: Situation, step: Send) -> Claim:
    message, newest = situation.message, situation.message.newest
    claim = Claim(
        attempt_id=uuid4(),
        message_id=message.id,
        channel=step.channel,
        address=step.address,
        ttl_seconds=situation.plan.rung(step.channel).ttl_seconds,
        claimed_at=situation.now,
        text=situation.text,
        number=newest.number + 1 if newest else 1,
        person=situation.person,
    )
    session.execute(
        _INSERT_ATTEMPT,
        {
            "id": claim.attempt_id,
            "message_id": message.id,
            "run_id": situation.run_id,
            "person_key": situation.person_key,
            "number": claim.number,
            "channel": step.channel,
            "address": step.address,
            "state": AttemptState.SENDING,
            "claimed_at": situation.now,
        },
    )
    # Due again soon after the try must have been settled: should everything die now, Sweep finds it.
    due_at = situation.now + UNSETTLED_FOR
    _change(session, message, state=MessageState.SENDING, due_at=due_at, hold_reason=None)
    return claim


def _expire_answered_by_silence(session: Session, situation: Situation) -> None:
    if not any(attempt.state is AttemptState.SENT for attempt in situation.message.attempts):
        return
    session.execute(
        update(Attempt)
        .where(Attempt.message_id == situation.message.id, Attempt.state == AttemptState.SENT)
        .values(state=AttemptState.EXPIRED)
    )


def _hold(session: Session, message: MessageFacts, *, due_at: datetime | None, reason: HoldReason | None) -> None:
    _change(session, message, state=unfinished_state(message.attempts), due_at=due_at, hold_reason=reason)


def _keep_deferral(session: Session, situation: Situation, wait: Wait) -> None:
    """Once for each, however often it is looked at meanwhile."""
    if wait.reason not in _PUT_OFF:
        return
    # While a channel cannot be made ready, each look puts it off by a little more: that is one deferral.
    lasts_on = wait.reason is HoldReason.PROVIDER_BUSY or situation.due_at == wait.until
    if situation.hold_reason == wait.reason and lasts_on:
        return
    deferral = {"message_id": situation.message.id, "at": situation.now, "reason": wait.reason, "until": wait.until}
    session.execute(_INSERT_DEFERRAL, deferral)


def _end(session: Session, situation: Situation, step: Done) -> None:
    message = situation.message
    if message.ended:  # its workflow has now been told
        told = {"due_at": None, "hold_reason": None, "nudged_at": None}
        session.execute(update(Message).where(Message.id == message.id).values(**told))
        return
    _change(
        session,
        message,
        state=step.state,
        state_reason=step.reason,
        ended_at=situation.now,
        due_at=None,
        hold_reason=None,
    )


def _change(session: Session, message: MessageFacts, **values: object) -> None:
    """One writer for each change: the state that it was decided from stands in the WHERE."""
    decided_from = {"of_message": message.id, "old_state": message.state}
    changed = session.execute(_CHANGE_MESSAGE, {**decided_from, **values, "nudged_at": None})
    if changed.rowcount != 1:  # type: ignore[attr-defined] # a DML result has it
        raise RuntimeError(f"message {message.id} changed under its lock: {message.state} was expected")
