"""A person's messages that have not ended, made due: what is known of the person has changed."""

from uuid import UUID

from sqlalchemy import and_, func, or_, update
from sqlalchemy.orm import Session

from db.tables import Message
from domain.states import MessageState


def make_due(session: Session, person_key: str) -> list[UUID]:
    """Those that wait to be handed over are looked at now; their ids, so that their workflows can be told.

    Those that no batch has taken yet stay as they are, and find it out when one does; what was sent is awaited on.
    """
    waits = and_(Message.state == MessageState.PLANNED, Message.due_at.is_not(None))
    made_due = (
        update(Message)
        .where(
            Message.person_key == person_key,
            Message.ended_at.is_(None),
            or_(waits, Message.hold_reason.is_not(None)),
        )
        .values(due_at=func.clock_timestamp())
        .returning(Message.id)
    )
    return list(session.scalars(made_due))
