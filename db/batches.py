"""A batch: the next page of a run's messages, given their texts and made due, before their workflows start."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import Integer, bindparam, cast, func, select, text, update
from sqlalchemy.orm import Session

from db import locks
from db.tables import AWAITS_HAND_OVER, MESSAGES, UNOPENED, Json, Message, Run
from domain.message import Message as Text
from domain.message import Recipient
from domain.plan import Plan
from domain.states import RUNS_THAT_SEND, MessageState

_WRITE_TEXT = update(MESSAGES).where(MESSAGES.c.id == bindparam("of_message"))

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
    written = [(message, _text_of(message, compose)) for message in session.scalars(query).all()]
    now = session.scalars(select(func.clock_timestamp())).one()
    _open(session, [(message.id, text) for message, text in written if text is not None], now + STARTS_WITHIN)
    _suppress(session, [message.id for message, text in written if text is None], now)
    return [Opened(each.id, plan.first_channel(each.addresses)) for each, text in written if text is not None]


def _text_of(message: Message, compose: Compose) -> Json | None:
    """None: a campaign that cannot write one person's text must not hold up the others."""
    if message.text:
        return message.text
    try:
        return asdict(compose(recipient_of(message)))
    except Exception as error:  # noqa: BLE001 - whatever a campaign's own code raises
        log.error("text_not_written", message_id=str(message.id), error=type(error).__name__)  # noqa: TRY400
        return None


def _open(session: Session, texts: Sequence[tuple[UUID, Json]], due_at: datetime) -> None:
    if texts:
        values = [{"of_message": message_id, "text": text, "due_at": due_at} for message_id, text in texts]
        session.execute(_WRITE_TEXT, values)


def _suppress(session: Session, ids: Sequence[UUID], now: datetime) -> None:
    if ids:
        values = {"state": MessageState.SUPPRESSED, "state_reason": NO_TEXT, "ended_at": now}
        session.execute(update(Message).where(Message.id.in_(ids)).values(**values))


def recipient_of(message: Message) -> Recipient:
    return Recipient(
        id=message.recipient_id,
        facts=message.facts,
        addresses={channel: tuple(addresses) for channel, addresses in message.addresses.items()},
        person_key=message.person_key,
        zone=message.zone,
        zone_candidates=tuple(message.zone_candidates),
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
