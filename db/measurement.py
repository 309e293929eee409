"""What became of a run's subjects: their windows, opened by the first hand-over and read when they have closed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.outcome_counts import count_outcomes
from db.tables import WINDOW_OPENED, WINDOW_UNOPENED, Attempt, AudienceRow, Message, Outcome, Run
from domain.outcomes import Deliveries, Reading, outcome
from domain.outcomes import Outcome as Result
from domain.states import HANDED_OVER, MessageState


class OpenMeasurement(BaseModel):
    model_config = ConfigDict(frozen=True)

    run_id: UUID
    campaign: str


@dataclass(frozen=True, slots=True)
class Window:
    """Of one subject; it has closed, and nobody has looked since."""

    subject: str
    opens_at: datetime
    closes_at: datetime
    sent: bool
    """As far as was known when it opened."""


@dataclass(frozen=True, slots=True)
class StillOpen:
    unopened: bool
    """Of some subjects it is not known yet when their windows open."""
    closes_at: datetime | None
    """When the next window closes."""
    now: datetime


def store_before(session: Session, run_id: UUID, before: Mapping[str, Reading]) -> None:
    """How the subjects stand at the snapshot. A page may come twice: what was noted first stays."""
    rows = [
        {"run_id": run_id, "subject": subject, "before_at": reading.at, "before_readable": reading.readable}
        for subject, reading in before.items()
    ]
    if rows:
        session.execute(insert(Outcome).on_conflict_do_nothing(), rows)


def open_windows(session: Session, run_id: UUID, window: timedelta, after: str, limit: int) -> str | None:
    """Open those of the next page of subjects whose first hand-over is known; the last subject of the page.

    A subject that nobody was sent anything about, nor will be, is settled at once. None: there is no further page.
    """
    page = (
        select(Outcome.subject)
        .where(Outcome.run_id == run_id, text(WINDOW_UNOPENED), Outcome.subject > after)
        .order_by(Outcome.subject)
        .limit(limit)
    )
    subjects = session.scalars(page).all()
    now = session.scalars(select(func.clock_timestamp())).one()
    found = _deliveries(session, run_id, subjects)
    opened = [(subject, deliveries, opens) for subject, deliveries in found.items() if (opens := deliveries.opens_at)]
    without = [subject for subject in subjects if _has_none(found.get(subject))]
    _update(
        session,
        run_id,
        [
            {
                "the_subject": subject,
                "arm": deliveries.arm,
                "sent": deliveries.handed_over_at is not None,
                "opens_at": opens,
                "closes_at": opens + window,
            }
            for subject, deliveries, opens in opened
        ],
    )
    _update(
        session,
        run_id,
        [{"the_subject": subject, "read_at": now, "outcome": Result.NOT_SENT} for subject in without],
    )
    return subjects[-1] if subjects else None


def closed_windows(session: Session, run_id: UUID, limit: int) -> list[Window]:
    """Those that closed first come first."""
    closed = (
        select(Outcome.subject, Outcome.opens_at, Outcome.closes_at, Outcome.sent)
        .where(Outcome.run_id == run_id, text(WINDOW_OPENED), Outcome.closes_at <= func.clock_timestamp())
        .order_by(Outcome.closes_at)
        .limit(limit)
    )
    rows = session.execute(closed).all()
    return [Window(*row) for row in rows]  # type: ignore[arg-type] # opened, so both times are there


def store_outcomes(session: Session, run_id: UUID, windows: Sequence[Window], readings: Mapping[str, Reading]) -> None:
    """What the subjects of these windows show; one without a reading is gone."""
    now = session.scalars(select(func.clock_timestamp())).one()
    # Asked again: a try that was unknown when the window opened may have turned out to have been sent.
    found = _deliveries(session, run_id, [window.subject for window in windows if not window.sent])
    sent = {subject for subject, deliveries in found.items() if deliveries.handed_over_at is not None}
    rows = []
    for window in windows:
        reading = readings.get(window.subject)
        rows.append(
            {
                "the_subject": window.subject,
                "sent": window.sent or window.subject in sent,
                "read_at": now,
                "after_at": reading.at if reading else None,
                "outcome": outcome(reading, window.opens_at, window.closes_at),
            }
        )
    _update(session, run_id, rows)
    note_measurement(session, run_id, None)


def still_open(session: Session, run_id: UUID) -> StillOpen:
    unread = Outcome.run_id == run_id
    unopened = select(select(Outcome.subject).where(unread, text(WINDOW_UNOPENED)).exists())
    closes_at = select(func.min(Outcome.closes_at)).where(unread, text(WINDOW_OPENED))
    now = session.scalars(select(func.clock_timestamp())).one()
    return StillOpen(session.scalars(unopened).one(), session.scalar(closes_at), now)


def close_measurement(session: Session, run_id: UUID) -> bool:
    """Whether the last outcome is known: nothing is awaited of the run, and no window is open any more."""
    run = session.get_one(Run, run_id)
    if run.measured_at is not None or run.closed_at is None:
        return run.measured_at is not None
    awaited = still_open(session, run_id)
    if awaited.unopened or awaited.closes_at:
        return False
    counts = count_outcomes(session, [run_id])[run_id]
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(measured_at=func.clock_timestamp(), measurement_reason=None, outcomes=counts.model_dump(mode="json"))
    )
    return True


def note_measurement(session: Session, run_id: UUID, reason: str | None) -> None:
    """Why the outcomes cannot be read at present; None: they can."""
    changed = Run.measurement_reason.is_distinct_from(reason)
    session.execute(update(Run).where(Run.id == run_id, changed).values(measurement_reason=reason))


def list_open_measurements(session: Session, older_than: timedelta) -> list[OpenMeasurement]:
    """Of runs whose audience is taken; the very young apart, which have just been begun."""
    query = (
        select(Run.id, Run.campaign)
        .where(
            Run.measured_at.is_(None),
            Run.targeted > 0,
            Run.plan["measured_for_seconds"].astext.is_not(None),
            Run.created_at < func.clock_timestamp() - older_than,
            select(Outcome.subject).where(Outcome.run_id == Run.id).exists(),
        )
        .order_by(Run.created_at)
    )
    return [OpenMeasurement(run_id=run_id, campaign=campaign) for run_id, campaign in session.execute(query)]


def _deliveries(session: Session, run_id: UUID, subjects: Sequence[str]) -> dict[str, Deliveries]:
    tries = (
        select(
            AudienceRow.subject,
            Message.held_out,
            Message.ended_at,
            (Message.state == MessageState.HELD_OUT).label("would_have_been"),
            func.min(Attempt.claimed_at).label("tried_at"),
            func.min(Attempt.claimed_at)
            .filter(Attempt.state.in_(HANDED_OVER) | Message.clicked_at.is_not(None))  # a click proves it too
            .label("handed_over_at"),
        )
        .join(Message, (Message.run_id == AudienceRow.run_id) & (Message.recipient_id == AudienceRow.recipient_id))
        .outerjoin(Attempt, Attempt.message_id == Message.id)
        .where(AudienceRow.run_id == run_id, AudienceRow.subject.in_(subjects))
        .group_by(AudienceRow.subject, Message.id)
    ).subquery()
    columns = tries.c
    query = select(
        columns.subject,
        func.count().filter(columns.held_out),
        func.count().filter(~columns.held_out),
        func.bool_and(columns.ended_at.is_not(None)),
        func.min(columns.handed_over_at),
        func.min(columns.ended_at).filter(columns.would_have_been),
        func.min(columns.tried_at),
    ).group_by(columns.subject)
    return {subject: Deliveries(*facts) for subject, *facts in session.execute(query)}


def _has_none(deliveries: Deliveries | None) -> bool:
    """It will never have a window: nobody was tried, or all of its people were erased."""
    return deliveries is None or (deliveries.ended and deliveries.opens_at is None)


def _update(session: Session, run_id: UUID, rows: Sequence[Mapping[str, object]]) -> None:
    """Of those that are not settled yet: whoever comes late changes nothing."""
    if rows:
        unread = (Outcome.run_id == run_id) & (Outcome.subject == bindparam("the_subject")) & Outcome.read_at.is_(None)
        changed: dict[str, object] = {name: bindparam(name) for name in rows[0] if name != "the_subject"}
        session.connection().execute(update(Outcome).where(unread).values(changed), list(rows))
