"""What became of a try, recorded by whoever claimed it, however late."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import locks
from db.decisions import Claim
from db.situation import Situation, look
from db.tables import Attempt, Message, Suppression
from domain.backoff import next_try_at
from domain.hashing import AddressHasher
from domain.ladder import ending, unfinished_state
from domain.states import AttemptState, FailureKind, may_leave_its_end

_STILL_OPEN = (AttemptState.SENDING, AttemptState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Outcome:
    state: AttemptState
    """sent, failed, unknown or released."""
    provider_id: str | None = None
    failure: FailureKind | None = None
    error_code: str | None = None
    error_text: str | None = None
    retry_after: float | None = None
    """Seconds that the provider asked for."""


def record(session: Session, claim: Claim, outcome: Outcome, hash_address: AddressHasher) -> None:
    """Write an outcome to its own attempt. Like an acknowledgement it locks its message alone.

    Fenced: an attempt that was meanwhile acknowledged, or settled, stays as it is; a late answer may still turn
    `unknown` into what it really was.
    """
    locks.hold_message(session, claim.message_id)
    situation = look(session, claim.message_id, hash_address)
    if situation is None:
        return
    state, failure = _as_it_stands(session, claim, outcome)
    session.execute(
        update(Attempt)
        .where(Attempt.id == claim.attempt_id, Attempt.state.in_(_STILL_OPEN))
        .values(
            state=state,
            failure=failure,
            error_code=outcome.error_code,
            error_text=outcome.error_text,
            settled_at=situation.now,
            **_times(situation, claim, outcome),
        )
    )
    if outcome.provider_id:
        session.execute(update(Attempt).where(Attempt.id == claim.attempt_id).values(provider_id=outcome.provider_id))
    if outcome.failure is FailureKind.ADDRESS_REJECTED:
        _drop_address(session, claim, outcome, hash_address)
    _move_message(session, claim.message_id, hash_address)


def _as_it_stands(session: Session, claim: Claim, outcome: Outcome) -> tuple[AttemptState, FailureKind | None]:
    """A try that counts as unknown was not sent after all: it failed. `released` would undo what was decided since."""
    if outcome.state is AttemptState.RELEASED:
        now = session.scalar(select(Attempt.state).where(Attempt.id == claim.attempt_id))
        if now == AttemptState.UNKNOWN:
            return AttemptState.FAILED, FailureKind.BUSY
    return outcome.state, outcome.failure


def _times(situation: Situation, claim: Claim, outcome: Outcome) -> dict[str, object]:
    if outcome.state is AttemptState.SENT:
        ttl = situation.plan.rung(claim.channel).ttl
        return {"deadline": situation.run.clock.run_time(situation.now) + ttl}
    tries = sum(attempt.channel == claim.channel for attempt in situation.message.attempts)
    at = next_try_at(
        outcome.state,
        outcome.failure,
        tries,
        claim.message_id,
        now=situation.now,
        retry_after=outcome.retry_after,
    )
    return {"retry_at": at}


def _drop_address(session: Session, claim: Claim, outcome: Outcome, hash_address: AddressHasher) -> None:
    dead = insert(Suppression).values(
        channel=claim.channel,
        address_hash=hash_address(claim.channel, claim.address),
        reason=outcome.error_code or FailureKind.ADDRESS_REJECTED,
    )
    session.execute(dead.on_conflict_do_nothing())


def _move_message(session: Session, message_id: UUID, hash_address: AddressHasher) -> None:
    """To where its attempts leave it now; what comes next is decided under the other locks, at once or by Sweep.

    One that ended as `unknown` may turn out to have been sent, or refused.
    """
    situation = look(session, message_id, hash_address)
    if situation is None:
        return
    message = situation.message
    of_old_state = update(Message).where(Message.id == message_id, Message.state == message.state)
    if not message.ended:
        state = unfinished_state(message.attempts)
        session.execute(of_old_state.values(state=state, due_at=situation.now))
    elif may_leave_its_end(message.state, new := ending(message).state):
        session.execute(of_old_state.values(state=new))


def attempt_owner(session: Session, attempt_id: UUID) -> UUID | None:
    """The message of an attempt; None: there is no such attempt."""
    return session.scalar(select(Attempt.message_id).where(Attempt.id == attempt_id))
