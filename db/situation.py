"""All that the ladder wants to know of one message, read under the locks that make it stay true."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.orm import Session

from db import locks
from db.persons import look_up_person
from db.tables import Attempt, Message, Run
from domain.clock import RunClock
from domain.hashing import AddressHasher
from domain.ladder import AttemptFacts, MessageFacts, RunFacts
from domain.persons import PersonFacts
from domain.plan import Plan
from domain.states import AttemptState, Awaited, FailureKind, MessageState, RunState
from domain.verdicts import Verdict

_WHOSE = select(Message.run_id, Message.person_key).where(Message.id == bindparam("of_message"))
_MESSAGE_WITH_ATTEMPTS = (
    select(Message, Run, func.clock_timestamp(), Attempt)
    .join(Run, Run.id == Message.run_id)
    .outerjoin(Attempt, Attempt.message_id == Message.id)
    .where(Message.id == bindparam("of_message"))
    .order_by(Attempt.number)
    .execution_options(populate_existing=True)
)
# A cancel changes messages without their advisory lock.
_HELD_WITH_ATTEMPTS = _MESSAGE_WITH_ATTEMPTS.with_for_update(of=Message, key_share=True)


@dataclass(frozen=True, slots=True)
class Situation:
    message: MessageFacts
    plan: Plan
    run: RunFacts
    person: PersonFacts
    now: datetime
    run_id: UUID
    person_key: str | None
    text: dict[str, Any]
    hold_reason: str | None = None
    """As the message's row says it until now."""
    due_at: datetime | None = None


def take_situation(session: Session, message_id: UUID, hash_address: AddressHasher) -> Situation | None:
    """Lock, then look. None: the message was erased."""
    whose = session.execute(_WHOSE, {"of_message": message_id}).one_or_none()
    if whose is None:
        return None
    locks.hold_to_decide(session, whose.run_id, whose.person_key, message_id)
    return look(session, message_id, hash_address)


def look(session: Session, message_id: UUID, hash_address: AddressHasher) -> Situation | None:
    """Without locks: true for as long as nobody else decides on this message."""
    rows = _rows(session, message_id)
    if not rows:
        return None
    message, run, now, _ = rows[0]
    plan = Plan.model_validate(run.plan)
    return _situation(rows, look_up_person(session, message, plan, now, hash_address))


def look_after_hand_over(session: Session, message_id: UUID, person: PersonFacts) -> Situation | None:
    """The same, with the message's row held, but for the person, who is as the claim has found them."""
    rows = session.execute(_HELD_WITH_ATTEMPTS, {"of_message": message_id}).all()
    return _situation(rows, person) if rows else None


def _rows(session: Session, message_id: UUID) -> Sequence[Row[Message, Run, datetime, Attempt | None]]:
    """Once for each attempt, and once where there is none: one statement, which sees one moment."""
    return session.execute(_MESSAGE_WITH_ATTEMPTS, {"of_message": message_id}).all()


def _situation(rows: Sequence[Row[Message, Run, datetime, Attempt | None]], person: PersonFacts) -> Situation:
    message, run, now, _ = rows[0]
    plan = Plan.model_validate(run.plan)
    attempts = tuple(attempt_facts(attempt) for _, _, _, attempt in rows if attempt is not None)
    return Situation(
        message=message_facts(message, attempts, plan),
        plan=plan,
        run=run_facts(run),
        person=person,
        now=now,
        run_id=run.id,
        person_key=message.person_key,
        text=message.text or {},
        hold_reason=message.hold_reason,
        due_at=message.due_at,
    )


def run_facts(run: Run) -> RunFacts:
    return RunFacts(
        state=RunState(run.state),
        started_at=run.started_at or run.created_at,
        clock=RunClock(run.paused_total, run.paused_at),
        released_up_to=run.released_up_to,
    )


def attempt_facts(attempt: Attempt) -> AttemptFacts:
    return AttemptFacts(
        number=attempt.number,
        channel=attempt.channel,
        address=attempt.address,
        state=AttemptState(attempt.state),
        claimed_at=attempt.claimed_at,
        deadline=attempt.deadline,
        failure=FailureKind(attempt.failure) if attempt.failure else None,
        retry_at=attempt.retry_at,
        verdict=Verdict(attempt.verdict) if attempt.verdict else None,
    )


def message_facts(
    message: Message, attempts: tuple[AttemptFacts, ...], plan: Plan, answers: frozenset[Awaited] | None = None
) -> MessageFacts:
    """`answers` are what came, where that was read from the facts themselves; else the message's row says it.

    Where the two disagree, the one is heard that contradicts the message's state: a proof must see it.
    """
    noted = _noted_answers(message)
    came = noted if answers is None else noted & answers if message.state == MessageState.DELIVERED else noted | answers
    return MessageFacts(
        id=message.id,
        state=MessageState(message.state),
        attempts=attempts,
        addresses={channel: tuple(addresses) for channel, addresses in message.addresses.items()},
        position=message.position,
        ended=message.ended_at is not None,
        acknowledges=message.acknowledges and Awaited.ACKNOWLEDGEMENT in plan.awaits,
        held_out=message.held_out,
        answered=Awaited.ACKNOWLEDGEMENT in came or bool(came & plan.awaits),
    )


def _noted_answers(message: Message) -> frozenset[Awaited]:
    noted = {Awaited.ACKNOWLEDGEMENT: message.acknowledged_at, Awaited.CLICK: message.clicked_at}
    return frozenset(kind for kind, at in noted.items() if at is not None)
