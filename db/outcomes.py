"""What became of a try, recorded by whoever claimed it, however late."""

from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import locks
from db.decisions import Claim, Decision
from db.situation import Situation, look_after_hand_over
from db.tables import ATTEMPTS, MESSAGES, Attempt, Suppression
from domain.consequences import settled, with_attempt
from domain.hashing import AddressHasher
from domain.ladder import AttemptFacts, Wait, ending, following_channel, next_step, unfinished_state
from domain.states import AttemptState, FailureKind, HoldReason, may_leave_its_end

_OWNER = select(Attempt.message_id).where(Attempt.id == bindparam("of_attempt"))
_SETTLE_ATTEMPT = update(ATTEMPTS).where(
    ATTEMPTS.c.id == bindparam("of_attempt"), ATTEMPTS.c.state == bindparam("old_state")
)
MOVE_MESSAGE = update(MESSAGES).where(
    MESSAGES.c.id == bindparam("of_message"), MESSAGES.c.state == bindparam("old_state")
)
"""What is set comes with the values."""

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


def record(session: Session, claim: Claim, outcome: Outcome, hash_address: AddressHasher) -> Decision | None:
    """Write an outcome to its own attempt. Like an acknowledgement it locks its message alone.

    Fenced: an attempt that was meanwhile acknowledged, or settled, stays as it is; a late answer may still turn
    `unknown` into what it really was. Returns what comes next where the other locks have no say in it; None: ask.
    """
    locks.hold_message(session, claim.message_id)
    situation = look_after_hand_over(session, claim.message_id, claim.person)
    if situation is None:
        return None
    situation = _settle(session, situation, claim, outcome)
    if outcome.failure is FailureKind.ADDRESS_REJECTED:
        _drop_address(session, claim, outcome, hash_address)
    return _move_message(session, situation)


def _settle(session: Session, situation: Situation, claim: Claim, outcome: Outcome) -> Situation:
    """The situation afterwards."""
    own = next(attempt for attempt in situation.message.attempts if attempt.number == claim.number)
    if own.state not in _STILL_OPEN:
        if outcome.provider_id:
            session.execute(
                update(Attempt).where(Attempt.id == claim.attempt_id).values(provider_id=outcome.provider_id)
            )
        return situation
    after = _settled(own, situation, outcome)
    session.execute(
        _SETTLE_ATTEMPT,
        {
            "of_attempt": claim.attempt_id,
            "old_state": own.state,
            "state": after.state,
            "failure": after.failure,
            "error_code": outcome.error_code,
            "error_text": outcome.error_text,
            "provider_id": outcome.provider_id,
            "settled_at": situation.now,
            "deadline": after.deadline,
            "retry_at": after.retry_at,
        },
    )
    return replace(situation, message=with_attempt(situation.message, after))


def _settled(own: AttemptFacts, situation: Situation, outcome: Outcome) -> AttemptFacts:
    state, failure = _as_it_stands(own, outcome)
    after = settled(
        situation.message,
        own.number,
        outcome.state,
        outcome.failure,
        plan=situation.plan,
        run=situation.run,
        now=situation.now,
        retry_after=outcome.retry_after,
    )
    return replace(after, state=state, failure=failure)


def _as_it_stands(own: AttemptFacts, outcome: Outcome) -> tuple[AttemptState, FailureKind | None]:
    """A try that counts as unknown was not sent after all: it failed. `released` would undo what was decided since."""
    if outcome.state is AttemptState.RELEASED and own.state is AttemptState.UNKNOWN:
        return AttemptState.FAILED, FailureKind.BUSY
    return outcome.state, outcome.failure


def _drop_address(session: Session, claim: Claim, outcome: Outcome, hash_address: AddressHasher) -> None:
    dead = insert(Suppression).values(
        channel=claim.channel,
        address_hash=hash_address(claim.channel, claim.address),
        reason=outcome.error_code or FailureKind.ADDRESS_REJECTED,
    )
    session.execute(dead.on_conflict_do_nothing())


def _move_message(session: Session, situation: Situation) -> Decision | None:
    """To where its attempts leave it now. One that ended as `unknown` may turn out to have been sent, or refused."""
    message = situation.message
    moved_from = {"of_message": message.id, "old_state": message.state}
    if message.ended:
        if may_leave_its_end(message.state, new := ending(message).state):
            session.execute(MOVE_MESSAGE, {**moved_from, "state": new})
        return None
    state = unfinished_state(message.attempts)
    step = next_step(message, situation.plan, situation.run, situation.person, situation.now)
    if isinstance(step, Wait) and step.reason is HoldReason.AWAITING:
        # Neither person nor cap has a say in it, and a pause that comes now finds it as it finds all that wait.
        waits = {"state": state, "due_at": step.until, "hold_reason": None, "nudged_at": None}
        session.execute(MOVE_MESSAGE, {**moved_from, **waits})
        return Decision(step, situation.now, following_channel(message, situation.plan, situation.person))
    # Decided under the other locks: at once, or by Sweep.
    session.execute(MOVE_MESSAGE, {**moved_from, "state": state, "due_at": situation.now})
    return None


def attempt_owner(session: Session, attempt_id: UUID) -> UUID | None:
    """The message of an attempt; None: there is no such attempt."""
    return session.scalar(_OWNER, {"of_attempt": attempt_id})
