"""The failed messages of a run that is over, as the audience of another."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import exists, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.tables import AudienceRow, Message
from domain.states import MessageState
from domain.tombstones import hash_in

_PAGE = 500


@dataclass(frozen=True, slots=True)
class CopiedPage:
    up_to: int
    """The position, in the run that is retried, of the last message of the page."""
    left_out: Mapping[str, int]


def has_failed(session: Session, run_id: UUID) -> bool:
    failed = exists().where(Message.run_id == run_id, Message.state == MessageState.FAILED)
    return bool(session.scalar(select(failed)))


def copy_failed(session: Session, run_id: UUID, retry_of: UUID, *, after: int) -> CopiedPage | None:
    """The rows of the next recipients whose message failed there; None: there is none. A page may come twice."""
    of_run = Message.run_id == retry_of, Message.state == MessageState.FAILED, Message.position > after
    page = session.execute(
        select(Message.position, Message.recipient_id).where(*of_run).order_by(Message.position).limit(_PAGE)
    ).all()
    if not page:
        return None
    recipients = [recipient_id for _, recipient_id in page if hash_in(recipient_id) is None]
    theirs = AudienceRow.run_id == retry_of, AudienceRow.recipient_id.in_(recipients)
    columns = ["run_id", "recipient_id", "subject", "shuffled", "row"]
    rows = select(
        literal(run_id), AudienceRow.recipient_id, AudienceRow.subject, AudienceRow.shuffled, AudienceRow.row
    ).where(*theirs)
    session.execute(insert(AudienceRow).from_select(columns, rows).on_conflict_do_nothing())
    known = session.scalar(select(func.count(AudienceRow.recipient_id.distinct())).where(*theirs)) or 0
    erased = len(page) - known
    return CopiedPage(page[-1].position, {"erased": erased} if erased else {})
