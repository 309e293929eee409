"""The ledger of a run: how it stands."""

from collections import defaultdict
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.sent import count_sent
from db.tables import Attempt, Click, Message


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Progress(_View):
    states: dict[str, int]
    """Messages by state; an end and `sent` that is still awaited apart from each other in `awaiting`."""
    awaiting: int
    held: dict[str, int]
    """Unfinished messages by the reason why they do not move."""
    attempts: dict[str, dict[str, int]]
    """By channel, then by state."""
    clicks: dict[str, int]
    """Hits on links by class."""
    people_clicked: int
    """Messages with a click of a person."""
    handed_over: int
    """Messages that a provider accepted, whatever came later: the figure "sent"."""


def progress(session: Session, run_id: UUID) -> Progress:
    attempts: dict[str, dict[str, int]] = defaultdict(dict)
    by_channel = select(Attempt.channel, Attempt.state, func.count()).where(Attempt.run_id == run_id)
    for channel, state, count in session.execute(by_channel.group_by(Attempt.channel, Attempt.state)):
        attempts[channel][state] = count
    of_run = Message.run_id == run_id
    held = select(Message.hold_reason, func.count()).where(
        of_run, Message.hold_reason.is_not(None), Message.ended_at.is_(None)
    )
    clicks = select(Click.click_class, func.count()).where(Click.run_id == run_id).group_by(Click.click_class)
    return Progress(
        states=count_states(session, run_id),
        awaiting=count_messages(session, of_run, Message.state == "sent", Message.ended_at.is_(None)),
        held=dict(session.execute(held.group_by(Message.hold_reason)).all()),
        attempts=dict(attempts),
        clicks=dict(session.execute(clicks).all()),
        people_clicked=count_messages(session, of_run, Message.clicked_at.is_not(None)),
        handed_over=count_sent(session, [run_id])[run_id],
    )


def count_states(session: Session, run_id: UUID) -> dict[str, int]:
    query = select(Message.state, func.count()).where(Message.run_id == run_id).group_by(Message.state)
    return dict(session.execute(query).all())


def count_messages(session: Session, *conditions: object) -> int:
    return session.scalar(select(func.count()).select_from(Message).where(*conditions)) or 0  # type: ignore[arg-type]
