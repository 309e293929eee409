"""Runs, who was in their audience, and what became of its subjects."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import NOW, Base, Json


class Run(Base):
    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("campaign", "slot"), Index(None, "created_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    campaign: Mapped[str]
    slot: Mapped[str]
    """Planned time in UTC, or the idempotency key of whoever started it: one run for each."""
    workflow_id: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    state_reason: Mapped[str | None]
    parameters: Mapped[Json]
    plan: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    begun_at: Mapped[datetime | None]
    """When a worker took it up."""
    started_at: Mapped[datetime | None]
    """When the audience is looked at; what is stale or valid counts from here."""
    paused_at: Mapped[datetime | None]
    paused_total: Mapped[timedelta] = mapped_column(server_default=sql("'0'"))
    cancelled_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    started_by: Mapped[str | None]
    """The actor, as the audit log names it; somebody else must approve."""
    retry_of: Mapped[UUID | None] = mapped_column(ForeignKey("drumbeat.runs.id", ondelete="SET NULL"))
    """The run whose failed messages are this one's audience."""
    resumes_at: Mapped[datetime | None]
    """When a pause ends by itself: that of the undo window."""
    gate: Mapped[str | None]
    """What a pause before the first send waits for; None: it is no such pause."""
    approved_by: Mapped[str | None]
    watched_from: Mapped[datetime | None]
    """Since when its figures are held against the thresholds; None: not all its gates are passed."""
    canary: Mapped[int | None]
    """How many go first; None: nobody is waited for any more, or never was."""
    canary_settled_at: Mapped[datetime | None]
    """When all of the canary were handed over or had ended."""
    limited_to: Mapped[int | None]
    """How many are released after the canary; None: all."""
    released_up_to: Mapped[int | None]
    targeted: Mapped[int | None]
    """Messages at the snapshot; the proof holds the rows against it."""
    left_out: Mapped[Json] = mapped_column(server_default=sql("'{}'"))
    """What the source saw and the campaign does not target, by reason."""
    noted: Mapped[Json] = mapped_column(server_default=sql("'{}'"))
    """What is targeted and deserves a look all the same, by reason."""
    measured_at: Mapped[datetime | None]
    """When the last outcome was read; None too where nothing is measured."""
    measurement_reason: Mapped[str | None]
    """Why the outcomes cannot be read at present."""
    outcomes: Mapped[Json | None]
    """Counted when the last one was read."""

    @property
    def bypass_frequency_caps(self) -> bool:
        return bool(self.plan.get("bypass_frequency_caps"))

    @property
    def launch(self) -> Json:
        return dict(self.plan.get("launch") or {})


class AudienceRow(Base):
    """One row of a run's audience as its source gave it; a recipient's rows become one message."""

    __tablename__ = "audience"
    __table_args__ = (Index(None, "run_id", "shuffled", "recipient_id"), Index(None, "run_id", "subject"))

    run_id: Mapped[UUID] = mapped_column(ForeignKey("drumbeat.runs.id", ondelete="CASCADE"), primary_key=True)
    recipient_id: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    shuffled: Mapped[str]
    """A hash of the recipient: messages are made in its order."""
    row: Mapped[Json]


WINDOW_UNOPENED = "read_at is null and opens_at is null"
WINDOW_OPENED = "read_at is null and opens_at is not null"


class Outcome(Base):
    """What became of one subject of a run (a lock): how it stood at the snapshot, its window, how it stands then."""

    __tablename__ = "outcomes"
    __table_args__ = (
        Index("ix_outcomes_unopened", "run_id", "subject", postgresql_where=sql(WINDOW_UNOPENED)),
        Index("ix_outcomes_unread", "run_id", "closes_at", postgresql_where=sql(WINDOW_OPENED)),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("drumbeat.runs.id", ondelete="CASCADE"), primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    before_at: Mapped[datetime | None]
    """When it was last done, as the source said at the snapshot; None: never, or it could not be read."""
    before_readable: Mapped[bool]
    group_key: Mapped[str | None]
    """Who is assigned together; None where nobody is held out."""
    arm: Mapped[str] = mapped_column(server_default=sql("'treated'"))
    sent: Mapped[bool] = mapped_column(server_default=sql("false"))
    """A provider has accepted a message about it."""
    opens_at: Mapped[datetime | None]
    """The first hand-over, or when it would have been."""
    closes_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    after_at: Mapped[datetime | None]
    """When it was last done, as the source said once the window had closed."""
    outcome: Mapped[str | None]


class MissedRun(Base):
    """A planned time that passed without a run: it is listed, and never caught up in silence."""

    __tablename__ = "missed_runs"

    campaign: Mapped[str] = mapped_column(primary_key=True)
    planned_at: Mapped[datetime] = mapped_column(primary_key=True)
    noted_at: Mapped[datetime] = mapped_column(server_default=NOW)
    reason: Mapped[str]
    """Why it was not run late: the campaign's policy, in words."""
