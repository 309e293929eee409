"""A batch: the next page of a run's messages, given their texts and made due, before their workflows start."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Integer, cast, func, select, text, update
from sqlalchemy.orm import Session

from db import locks
from db.tables import AWAITS_HAND_OVER, UNOPENED, Message, Run
from domain.message import Message as Text
from domain.message import Recipient
from domain.plan import Plan
from domain.states import RUNS_THAT_SEND, MessageState

Compose = Callable[[Recipient], Text]

log = structlog.get_logger()

NO_TEXT = "text_failed"
STARTS_WITHIN = timedelta(minutes=1)
"""From a batch's opening: a message that nobody has looked at by then is Sweep's."""


@dataclass(frozen=True, slots=True)
class Opened:
    message_id: UUID
    channel: str
    """Where its workflow asks first."""


def open_batch(session: Session, run_id: UUID, number: int, compose: Compose) -> list[Opened]:
    """The messages of batch `number` (from 1) whose workflows must be started now; none while the run does not send.

    Called again it returns the same ones as long as they have not moved, so that a batch that died is completed.
    """
    locks.share_run(session, run_id)
    run = session.get(Run, run_id, populate_existing=True)
    if run is None or run.state not in RUNS_THAT_SEND:
        return []
    plan = Plan.model_validate(run.plan)
    last = number * plan.batch_size
    released = last if run.released_up_to is None else run.released_up_to
    query = (
        select(Message)
        .where(
            Message.run_id == run_id,
            Message.position.between(last - plan.batch_size + 1, min(last, released)),
            Message.state == MessageState.PLANNED,
            Message.ended_at.is_(None),
            Message.hold_reason.is_(None),
        )
        .order_by(Message.position)
        .with_for_update()
    )
    opened = [message for message in session.scalars(query).all() if _write_text(session, message, compose)]
    return [Opened(message.id, plan.first_channel(message.addresses)) for message in opened]


def _write_text(session: Session, message: Message, compose: Compose) -> bool:
    """Whether there is one. A campaign that cannot write one person's text must not hold up the others."""
    values: dict[str, Any] = {"due_at": func.clock_timestamp() + STARTS_WITHIN}
    if not message.text:
        try:
            values["text"] = asdict(compose(recipient_of(message)))
        except Exception as error:  # noqa: BLE001 - whatever a campaign's own code raises
            log.error("text_not_written", message_id=str(message.id), error=type(error).__name__)  # noqa: TRY400
            values = {"state": MessageState.SUPPRESSED, "state_reason": NO_TEXT, "ended_at": func.clock_timestamp()}
    session.execute(update(Message).where(Message.id == message.id).values(**values))
    return "ended_at" not in values


def recipient_of(message: Message) -> Recipient:
    return Recipient(
        id=message.recipient_id,
        facts=message.facts,
        addresses={channel: tuple(addresses) for channel, addresses in message.addresses.items()},
        person_key=message.person_key,
        zone=message.zone,
        language=message.language,
        acknowledges=message.acknowledges,
    )


def next_batch(session: Session, run_id: UUID, batch_size: int, under_way: Iterable[int]) -> int | None:
    """The first batch with a released message that was never opened, those under way apart."""
    released = select(Run.released_up_to).where(Run.id == run_id).scalar_subquery()
    number = (Message.position - 1) / batch_size + 1
    batch = cast(func.floor(number), Integer)
    query = (
        select(batch)
        .where(Message.run_id == run_id, text(UNOPENED), Message.position <= func.coalesce(released, Message.position))
        .where(batch.not_in(list(under_way)))
        .order_by(Message.position)
        .limit(1)
    )
    return session.scalar(query)


def count_backlog(session: Session, run_id: UUID) -> int:
    """Messages that were opened and wait for their hand-over, the held apart."""
    waiting = select(func.count()).select_from(Message).where(Message.run_id == run_id, text(AWAITS_HAND_OVER))
    return session.scalar(waiting) or 0
