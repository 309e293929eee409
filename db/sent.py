"""The figure "sent": messages that a provider accepted, whatever came later."""

from collections import Counter
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import Attempt, Message
from domain.states import HANDED_OVER


def count_sent(session: Session, run_ids: Collection[UUID]) -> Counter[UUID]:
    """By run. A person's click proves it too, where the try itself is not known to have arrived."""
    accepted = (
        select(Attempt.run_id, func.count(func.distinct(Attempt.message_id)))
        .where(Attempt.run_id.in_(run_ids), Attempt.state.in_(HANDED_OVER))
        .group_by(Attempt.run_id)
    )
    known = select(Attempt.id).where(Attempt.message_id == Message.id, Attempt.state.in_(HANDED_OVER)).exists()
    proven = (
        select(Message.run_id, func.count())
        .where(Message.run_id.in_(run_ids), Message.clicked_at.is_not(None), ~known)
        .group_by(Message.run_id)
    )
    return Counter(dict(session.execute(accepted).all())) + Counter(dict(session.execute(proven).all()))
