"""Facts from outside: committed here, with the change of the message's state, before anything else hears of them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from db import locks
from db.outcomes import MOVE_MESSAGE, attempt_owner
from db.tables import ACKNOWLEDGEMENTS, ATTEMPTS, Attempt, Click, Message, Run
from domain.clicks import ClickClass
from domain.plan import Plan
from domain.states import HANDED_OVER, AttemptState, Awaited, MessageState, may_leave_its_end

_MESSAGE_AND_ATTEMPT = (
    select(Message, Attempt, func.clock_timestamp())
    .join(Attempt, Attempt.message_id == Message.id)
    .where(Message.id == bindparam("of_message"), Attempt.id == bindparam("of_attempt"))
    .with_for_update(of=Message)  # a cancel changes messages without their advisory lock
)
_INSERT_ACKNOWLEDGEMENT = insert(ACKNOWLEDGEMENTS)
_CHANGE_ATTEMPT = update(ATTEMPTS).where(ATTEMPTS.c.id == bindparam("of_attempt"))

ABSURD_AFTER = timedelta(seconds=5)
"""A device that claims to have received later than this after its acknowledgement arrived has a wrong clock."""


@dataclass(frozen=True, slots=True)
class TakenAcknowledgement:
    message_id: UUID
    first: bool
    late: bool
    """It came after the message had ended."""


@dataclass(frozen=True, slots=True)
class ClickHit:
    click_class: ClickClass
    signed: bool
    message_id: UUID | None = None
    named: dict[str, str] = field(default_factory=dict)
    """campaign_id, lock_id, user_id of a link in the historical form."""
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class TakenClick:
    message_id: UUID | None
    nudges: bool
    """It ended the wait of a message: its workflow should hear of it."""


def take_acknowledgement(session: Session, attempt_id: UUID, received_at: datetime) -> TakenAcknowledgement | None:
    """Whatever comes: late, twice, out of order, before the send was recorded. None: there is no such attempt."""
    message_id = attempt_owner(session, attempt_id)
    if message_id is None:
        return None
    locks.hold_message(session, message_id)
    message, attempt, now = _read(session, message_id, attempt_id)
    first = message.acknowledged_at is None
    # A click may have delivered it a moment before: that is no reason to call the device late.
    late = first and message.ended_at is not None and message.state != MessageState.DELIVERED
    came = {"attempt_id": attempt_id, "received_at": received_at, "arrived_at": now, "late": late}
    session.execute(_INSERT_ACKNOWLEDGEMENT, came)
    counts = _may_be_delivered(message)
    if first and counts:
        _deliver(session, message, now, acknowledged_at=now, acknowledged_late=late)
    if counts and attempt.acknowledged_at is None:
        session.execute(
            _CHANGE_ATTEMPT,
            {
                "of_attempt": attempt_id,
                "state": AttemptState.DELIVERED,
                "received_at": received_at,
                "acknowledged_at": now,
                "latency_ms": _latency_ms(attempt.claimed_at, received_at, now),
            },
        )
    return TakenAcknowledgement(message_id, first=first, late=late)


def take_click(session: Session, hit: ClickHit) -> TakenClick:
    """Every hit is kept; the first one of a person on a message that was sent counts, signed or not."""
    message_id = hit.message_id or _matching_message(session, hit.named)
    run_id = session.scalar(select(Message.run_id).where(Message.id == message_id)) if message_id else None
    if run_id is None:
        message_id = None
    session.execute(
        insert(Click).values(
            message_id=message_id,
            run_id=run_id,
            click_class=hit.click_class,
            signed=hit.signed,
            named=hit.named,
            user_agent=hit.user_agent,
        )
    )
    if message_id is None or hit.click_class is not ClickClass.PERSON:
        return TakenClick(message_id, nudges=False)
    return TakenClick(message_id, nudges=_count_click(session, message_id))


def _count_click(session: Session, message_id: UUID) -> bool:
    locks.hold_message(session, message_id)
    message, plan, now = session.execute(
        select(Message, Run.plan, func.clock_timestamp())
        .join(Run)
        .where(Message.id == message_id)
        .with_for_update(of=Message)
    ).one()
    if message.clicked_at is not None:
        return False
    if Awaited.CLICK in Plan.model_validate(plan).awaits:
        return _may_be_delivered(message) and _deliver(session, message, now, clicked_at=now)
    session.execute(update(Message).where(Message.id == message_id).values(clicked_at=now))
    return False


def _deliver(session: Session, message: Message, now: datetime, **facts: object) -> bool:
    """Write the facts, and `delivered` where it is not yet; whether it was."""
    values: dict[str, Any] = dict(facts)
    delivers = message.state != MessageState.DELIVERED
    if delivers:
        values |= {"state": MessageState.DELIVERED, "state_reason": None, "ended_at": message.ended_at or now}
        # A held message has a workflow without a timer: it stays due until that workflow has been told.
        values["due_at"] = now if message.hold_reason else None
    session.execute(MOVE_MESSAGE, {"of_message": message.id, "old_state": message.state, **values})
    return delivers


def _may_be_delivered(message: Message) -> bool:
    """Where not (it ended as failed, or withdrawn), what came is kept as it came and changes nothing."""
    state = MessageState(message.state)
    return (
        message.ended_at is None or state is MessageState.DELIVERED or may_leave_its_end(state, MessageState.DELIVERED)
    )


def _read(session: Session, message_id: UUID, attempt_id: UUID) -> tuple[Message, Attempt, datetime]:
    found = session.execute(_MESSAGE_AND_ATTEMPT, {"of_message": message_id, "of_attempt": attempt_id}).one()
    return found[0], found[1], found[2]


def _matching_message(session: Session, named: dict[str, str]) -> UUID | None:
    """The newest message that was handed over and to which an unsigned link's words fit."""
    campaign, lock, user = (named.get(word, "") for word in ("campaign_id", "lock_id", "user_id"))
    if not (campaign and lock and user):
        return None
    return session.scalar(
        select(Message.id)
        .join(Run)
        .join(Attempt, Attempt.message_id == Message.id)
        .where(
            or_(
                func.text(Run.id) == campaign.lower(),
                Run.workflow_id == campaign,
                Run.slot == campaign,
                Run.campaign == campaign,
            ),
            Message.recipient_id == user,
            Message.facts["locks"].contains([lock]),
            Attempt.state.in_(HANDED_OVER),
        )
        .order_by(Attempt.claimed_at.desc())
        .limit(1)
    )


def _latency_ms(sent_at: datetime, received_at: datetime, arrived_at: datetime) -> int | None:
    if received_at < sent_at or received_at > arrived_at + ABSURD_AFTER:
        return None
    return round((received_at - sent_at) / timedelta(milliseconds=1))
