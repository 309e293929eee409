"""What is left of an erased person in the tables, and what is not."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Text, and_, cast, delete, exists, func, null, or_, select, update
from sqlalchemy.orm import Session, aliased

from db.tables import Attempt, AudienceRow, Click, Device, Message, Outcome, ReportedAttempt, Run
from domain.hashing import AddressHasher
from domain.persons import PERSON
from domain.tombstones import tombstone

_RECIPIENT = "recipient"
"""In place of a channel: the hash is of a recipient's id, which several of a person may have."""
_SHUFFLED = 16
"""Letters of a hash."""


def bury(session: Session, hash_address: AddressHasher, person: str, messages: Sequence[Message]) -> None:
    """Make tombstones of them: who it was goes, and what became of it stays."""
    if not messages:
        return
    ids = [each.id for each in messages]
    _empty_attempts(session, ids)
    _empty_clicks(session, ids)
    for message in messages:
        name = tombstone(hash_address(_RECIPIENT, message.recipient_id))
        _rename_in_audience(session, message.run_id, message.recipient_id, name)
        _empty_message(session, message.id, name, tombstone(hash_address(PERSON, person)))


def forget_elsewhere(session: Session, person: str) -> int:
    """What names them beside their messages; how many devices have no owner any more."""
    named = Click.message_id.is_(None), Click.named["user_id"].astext == person
    session.execute(update(Click).where(*named).values(named={}, user_agent=null()))
    _forget_failed_snapshots(session, person)
    unlinked = update(Device).where(Device.owner_id == person).values(owner_id=null())
    return len(session.scalars(unlinked.returning(Device.id)).all())


def _empty_message(session: Session, message_id: UUID, name: str, person_key: str) -> None:
    session.execute(
        update(Message)
        .where(Message.id == message_id)
        .values(
            recipient_id=name,
            person_key=person_key,
            facts={},
            addresses={},
            text=null(),
            zone=null(),
            zone_candidates=[],
            language=null(),
        )
        .execution_options(synchronize_session=False)
    )


def _empty_attempts(session: Session, message_ids: Sequence[UUID]) -> None:
    """The provider's id leads to the person in its own records; a report that names it names ours instead."""
    other = aliased(ReportedAttempt)
    by_provider = and_(
        ReportedAttempt.run_id == Attempt.run_id,
        ReportedAttempt.channel == Attempt.channel,
        ReportedAttempt.reported_id == Attempt.provider_id,
        Attempt.message_id.in_(message_ids),
    )
    by_our_own = exists().where(
        other.run_id == Attempt.run_id, other.channel == Attempt.channel, other.reported_id == cast(Attempt.id, Text)
    )
    for change in (
        update(ReportedAttempt).where(by_provider, ~by_our_own).values(reported_id=cast(Attempt.id, Text)),
        delete(ReportedAttempt).where(by_provider),
    ):
        session.execute(change.execution_options(synchronize_session=False))
    session.execute(
        update(Attempt)
        .where(Attempt.message_id.in_(message_ids))
        .values(address="", person_key=null(), provider_id=null(), error_text=null())
        .execution_options(synchronize_session=False)
    )


def _empty_clicks(session: Session, message_ids: Sequence[UUID]) -> None:
    of_theirs = update(Click).where(Click.message_id.in_(message_ids))
    session.execute(of_theirs.values(named={}, user_agent=null()).execution_options(synchronize_session=False))


def _rename_in_audience(session: Session, run_id: UUID, recipient_id: str, name: str) -> None:
    """Their subjects stay: each is measured to its end, in the arm that was drawn for it."""
    own_row = func.jsonb_build_object("id", name, "subject", AudienceRow.subject)
    session.execute(
        update(AudienceRow)
        .where(AudienceRow.run_id == run_id, AudienceRow.recipient_id == recipient_id)
        .values(recipient_id=name, shuffled=name[-_SHUFFLED:], row=own_row)
        .execution_options(synchronize_session=False)
    )
    # A group bears the name of one of its members.
    session.execute(
        update(Outcome)
        .where(Outcome.run_id == run_id, Outcome.group_key == recipient_id)
        .values(group_key=name)
        .execution_options(synchronize_session=False)
    )


def _forget_failed_snapshots(session: Session, person: str) -> None:
    """Rows of an audience that never became messages: the snapshot failed, perhaps after somebody had cancelled it."""
    failed = select(Run.id).where(Run.targeted == 0)
    theirs = or_(AudienceRow.recipient_id == person, AudienceRow.row["person_key"].astext == person)
    session.execute(
        delete(AudienceRow).where(AudienceRow.run_id.in_(failed), theirs).execution_options(synchronize_session=False)
    )
