"""What is known of a message when somebody hits its link."""

from uuid import UUID

from sqlalchemy import extract, func, select
from sqlalchemy.orm import Session

from db.tables import Attempt
from domain.states import AttemptState

_NEVER_HANDED_OVER = (AttemptState.FAILED, AttemptState.RELEASED)


def seconds_since_sent(session: Session, message_id: UUID) -> float | None:
    """By the database's clock, since the newest try that may have arrived; None: there is none."""
    newest = select(func.max(Attempt.claimed_at)).where(
        Attempt.message_id == message_id, Attempt.state.not_in(_NEVER_HANDED_OVER)
    )
    seconds = session.scalar(select(extract("epoch", func.clock_timestamp() - newest.scalar_subquery())))
    return None if seconds is None else float(seconds)
