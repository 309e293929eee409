"""What a channel's own report says was taken, kept so that the ledger can be held against it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from uuid import UUID

from sqlalchemy import ColumnElement, Text, Uuid, case, cast, delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import locks
from db.audit import write_audit
from db.runs import plan_of
from db.tables import Attempt, ReportedAttempt
from domain.problems import NoSuchChannelError
from domain.reports import Report, Reported

_ROWS_AT_ONCE = 2000
_OF_NOTHING = ""
"""In place of an id: the report was empty."""


def is_named() -> ColumnElement[bool]:
    """Whether the report of an attempt's channel names it, as a column beside the attempt's."""
    return exists().where(
        ReportedAttempt.run_id == Attempt.run_id,
        ReportedAttempt.channel == Attempt.channel,
        or_(ReportedAttempt.reported_id == cast(Attempt.id, Text), ReportedAttempt.reported_id == Attempt.provider_id),
    )


def reports_of(session: Session, run_id: UUID) -> dict[str, Report]:
    """By channel; those that were imported."""
    rows = func.count().filter(ReportedAttempt.reported_id != _OF_NOTHING)
    query = (
        select(ReportedAttempt.channel, func.max(ReportedAttempt.reported_at), rows, func.bool_or(ReportedAttempt.ours))
        .where(ReportedAttempt.run_id == run_id)
        .group_by(ReportedAttempt.channel)
        .order_by(ReportedAttempt.channel)
    )
    return {channel: Report(channel, at, count, ours) for channel, at, count, ours in session.execute(query)}


def strangers(session: Session, run_id: UUID) -> list[tuple[str, str]]:
    """(channel, id) of what a report names by an id of ours that no attempt of any run has."""
    # Only a CASE keeps PostgreSQL from reading a provider's id as a UUID.
    own_id = cast(
        case((ReportedAttempt.ours & (ReportedAttempt.reported_id != _OF_NOTHING), ReportedAttempt.reported_id)), Uuid
    )
    query = (
        select(ReportedAttempt.channel, ReportedAttempt.reported_id)
        .outerjoin(Attempt, Attempt.id == own_id)
        .where(ReportedAttempt.run_id == run_id, ReportedAttempt.ours, ReportedAttempt.reported_id != _OF_NOTHING)
        .where(Attempt.id.is_(None))
        .order_by(ReportedAttempt.channel, ReportedAttempt.reported_id)
    )
    return [(channel, reported_id) for channel, reported_id in session.execute(query)]


def import_report(session: Session, run_id: UUID, channel: str, reported: Iterable[Reported], actor: str) -> int:
    """In place of what this channel reported of the run before; how many messages it names.

    Whatever `reported` raises while it is read must end the transaction: then nothing has changed.
    """
    ladder = [rung.channel for rung in plan_of(session, run_id).ladder]
    if channel not in ladder:
        raise NoSuchChannelError(channel, ladder)
    _clear(session, run_id, channel)
    stored = sum(_store(session, run_id, channel, page) for page in _pages(reported))
    if not stored:
        nothing = {"run_id": run_id, "channel": channel, "reported_id": _OF_NOTHING, "ours": True}
        session.execute(insert(ReportedAttempt), [nothing])
    write_audit(session, actor, "report", run_id, channel=channel, messages=stored)
    return stored


def clear_report(session: Session, run_id: UUID, channel: str, actor: str) -> bool:
    """Forget it; whether there was one."""
    cleared = _clear(session, run_id, channel)
    if cleared:
        write_audit(session, actor, "clear_report", run_id, channel=channel)
    return cleared


def _clear(session: Session, run_id: UUID, channel: str) -> bool:
    locks.hold_report(session, run_id, channel)
    of_channel = ReportedAttempt.run_id == run_id, ReportedAttempt.channel == channel
    there_was = session.scalar(select(exists().where(*of_channel)))
    session.execute(delete(ReportedAttempt).where(*of_channel))
    return bool(there_was)


def _pages(reported: Iterable[Reported]) -> Iterator[Sequence[Reported]]:
    rest = iter(reported)
    while page := list(islice(rest, _ROWS_AT_ONCE)):
        yield page


def _store(session: Session, run_id: UUID, channel: str, page: Iterable[Reported]) -> int:
    """One that the report names twice is one."""
    rows = [
        {
            "run_id": run_id,
            "channel": channel,
            "reported_id": str(each.message_id) if each.message_id else each.provider_id,
            "ours": each.message_id is not None,
        }
        for each in page
    ]
    stored = session.execute(
        insert(ReportedAttempt).on_conflict_do_nothing().values(rows).returning(ReportedAttempt.reported_id)
    )
    return len(stored.all())
