"""All that the ladder wants to know of one message, read under the locks that make it stay true."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.orm import Session

from db import locks
from db.tables import Attempt, Message, Run, Suppression
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

_COUNTS_FOR_CAPS = ("sending", "sent", "delivered", "expired", "unknown")


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
    person = PersonFacts(
        zone=message.zone,
        recent_sends=_recent_sends(session, message, Plan.model_validate(run.plan), now),
        rejected=_rejected(session, message, hash_address),
    )
    return _situation(rows, person)


def look_after_hand_over(session: Session, message_id: UUID, person: PersonFacts) -> Situation | None:
    """The same, but for the person, who is as the claim has found them."""
    rows = _rows(session, message_id)
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


def _recent_sends(session: Session, message: Message, plan: Plan, now: datetime) -> tuple[datetime, ...]:
    """One time for each other message that was, or may have been, handed over to this person."""
    if not plan.caps or message.person_key is None:
        return ()
    since = now - timedelta(days=max(cap.days for cap in plan.caps))
    first_claim = func.min(Attempt.claimed_at)
    return tuple(
        session.scalars(
            select(first_claim)
            .where(
                Attempt.person_key == message.person_key,
                Attempt.message_id != message.id,
                Attempt.claimed_at > since,
                Attempt.state.in_(_COUNTS_FOR_CAPS),
            )
            .group_by(Attempt.message_id)
            .order_by(first_claim)
        )
    )


def _rejected(session: Session, message: Message, hash_address: AddressHasher) -> dict[str, frozenset[str]]:
    by_hash = {
        hash_address(channel, address): (channel, address)
        for channel, addresses in message.addresses.items()
        for address in addresses
    }
    listed = session.scalars(select(Suppression.address_hash).where(Suppression.address_hash.in_(by_hash))).all()
    dead = [by_hash[address_hash] for address_hash in listed]
    return {channel: frozenset(a for c, a in dead if c == channel) for channel, _ in dead}
