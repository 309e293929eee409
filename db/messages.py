"""Reading messages: pages of a run, and one message's whole story. Addresses are shown masked."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Acknowledgement, Attempt, Click, Message
from domain.problems import NoSuchMessageError


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class MessageView(_View):
    id: UUID
    position: int
    recipient_id: str
    state: str
    state_reason: str | None
    hold_reason: str | None
    due_at: datetime | None
    ended_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_late: bool
    clicked_at: datetime | None


class AttemptView(_View):
    id: UUID
    number: int
    channel: str
    state: str
    failure: str | None
    error_code: str | None
    error_text: str | None
    provider_id: str | None
    claimed_at: datetime
    settled_at: datetime | None
    received_at: datetime | None
    acknowledged_at: datetime | None
    latency_ms: int | None


class AcknowledgementView(_View):
    attempt_id: UUID
    received_at: datetime
    arrived_at: datetime
    late: bool


class ClickView(_View):
    click_class: str
    signed: bool
    clicked_at: datetime


class MessageStory(_View):
    message: MessageView
    text: dict[str, Any] | None
    attempts: list[AttemptView]
    acknowledgements: list[AcknowledgementView]
    clicks: list[ClickView]


def list_messages(
    session: Session, run_id: UUID, state: str | None = None, after: UUID | None = None, limit: int = 100
) -> list[MessageView]:
    """One page in the order of ids; `after` is the last id of the page before."""
    query = select(Message).where(Message.run_id == run_id).order_by(Message.id).limit(limit)
    if state is not None:
        query = query.where(Message.state == state)
    if after is not None:
        query = query.where(Message.id > after)
    return [MessageView.model_validate(message) for message in session.scalars(query)]


def message_story(session: Session, run_id: UUID, message_id: UUID) -> MessageStory:
    """All that is known of one message, in order."""
    message = session.scalar(select(Message).where(Message.id == message_id, Message.run_id == run_id))
    if message is None:
        raise NoSuchMessageError(str(message_id))
    attempts = session.scalars(select(Attempt).where(Attempt.message_id == message_id).order_by(Attempt.number)).all()
    acknowledgements = session.scalars(
        select(Acknowledgement)
        .where(Acknowledgement.attempt_id.in_([attempt.id for attempt in attempts]))
        .order_by(Acknowledgement.id)
    )
    clicks = session.scalars(select(Click).where(Click.message_id == message_id).order_by(Click.id))
    return MessageStory(
        message=MessageView.model_validate(message),
        text=message.text,
        attempts=[AttemptView.model_validate(attempt) for attempt in attempts],
        acknowledgements=[AcknowledgementView.model_validate(each) for each in acknowledgements],
        clicks=[ClickView.model_validate(click) for click in clicks],
    )
