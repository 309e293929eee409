"""Our tables, all in the schema `drumbeat`. Times are timestamptz; deadlines are in run time (domain/clock.py)."""

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Interval, MetaData, Table, Text, UniqueConstraint, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "drumbeat"
Json = dict[str, Any]
_NOW = func.clock_timestamp()


class Base(DeclarativeBase):
    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        },
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this very attribute
        str: Text,
        datetime: TIMESTAMP(timezone=True),
        timedelta: Interval,
        Json: JSONB,
        list[str]: ARRAY(Text),
    }


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
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    begun_at: Mapped[datetime | None]
    """When a worker took it up."""
    started_at: Mapped[datetime | None]
    """When the audience is looked at; what is stale or valid counts from here."""
    paused_at: Mapped[datetime | None]
    paused_total: Mapped[timedelta] = mapped_column(server_default=sql("'0'"))
    cancelled_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
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


UNOPENED = "state = 'planned' and ended_at is null and due_at is null and hold_reason is null"
"""No batch has taken them yet. As text, so that queries name their index's very condition."""
AWAITS_HAND_OVER = "state in ('planned', 'sending') and ended_at is null and due_at is not null and hold_reason is null"
UNFINISHED = "ended_at is null"


class Message(Base):
    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("run_id", "recipient_id"),
        UniqueConstraint("run_id", "position"),
        Index(None, "run_id", "state", "id"),
        Index(None, "person_key", postgresql_where=sql("person_key is not null")),
        Index("ix_messages_unopened", "run_id", "position", postgresql_where=sql(UNOPENED)),
        Index("ix_messages_awaits_hand_over", "run_id", postgresql_where=sql(AWAITS_HAND_OVER)),
        Index("ix_messages_unfinished", "run_id", "state", postgresql_where=sql(UNFINISHED)),
        Index("ix_messages_due", "due_at", postgresql_where=sql("due_at is not null")),
        Index("ix_messages_held", "run_id", "hold_reason", postgresql_where=sql("hold_reason is not null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("drumbeat.runs.id", ondelete="CASCADE"))
    position: Mapped[int]
    """1 to `runs.targeted`; batches and `released_up_to` count by it."""
    recipient_id: Mapped[str]
    person_key: Mapped[str | None]
    facts: Mapped[Json]
    addresses: Mapped[dict[str, list[str]]] = mapped_column(JSONB)
    acknowledges: Mapped[bool] = mapped_column(server_default=sql("false"))
    held_out: Mapped[bool] = mapped_column(server_default=sql("false"))
    """Assigned at the snapshot; its state says so only where it would have been sent."""
    zone: Mapped[str | None]
    language: Mapped[str | None]
    text: Mapped[Json | None]
    """Title, body and data, written when the batch opens."""
    state: Mapped[str] = mapped_column(server_default=sql("'planned'"))
    state_reason: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    """Set at an end, also where the state's word is `sent`."""
    due_at: Mapped[datetime | None]
    """When somebody must look at it again; kept after an end until its workflow has been told."""
    hold_reason: Mapped[str | None]
    nudged_at: Mapped[datetime | None]
    """When Sweep called its workflow; cleared as soon as somebody looks at it."""
    acknowledged_at: Mapped[datetime | None]
    acknowledged_late: Mapped[bool] = mapped_column(server_default=sql("false"))
    clicked_at: Mapped[datetime | None]
    """The first click of a person, not of a scanner."""
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class Attempt(Base):
    """One try by one channel. Its id travels as `message_id`; acknowledgements name it."""

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("message_id", "number"),
        Index(None, "run_id", "channel", "state"),
        Index("ix_attempts_sending", "run_id", "claimed_at", postgresql_where=sql("state = 'sending'")),
        Index("ix_attempts_person", "person_key", "claimed_at", postgresql_where=sql("person_key is not null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(ForeignKey("drumbeat.messages.id", ondelete="CASCADE"))
    run_id: Mapped[UUID]
    person_key: Mapped[str | None]
    number: Mapped[int]
    channel: Mapped[str]
    address: Mapped[str]
    state: Mapped[str]
    failure: Mapped[str | None]
    error_code: Mapped[str | None]
    error_text: Mapped[str | None]
    provider_id: Mapped[str | None]
    claimed_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    """When its outcome was recorded."""
    deadline: Mapped[datetime | None]
    """In run time: until when an answer is awaited."""
    retry_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    """The device's clock, as it said."""
    acknowledged_at: Mapped[datetime | None]
    """Our clock, when the first acknowledgement arrived."""
    latency_ms: Mapped[int | None]


class Acknowledgement(Base):
    """Every one that came; the first of a message delivers it."""

    __tablename__ = "acknowledgements"
    __table_args__ = (Index(None, "attempt_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("drumbeat.attempts.id", ondelete="CASCADE"))
    received_at: Mapped[datetime]
    arrived_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    late: Mapped[bool]


class Click(Base):
    """Every hit on a link, raw, with its class; only a person's counts."""

    __tablename__ = "clicks"
    __table_args__ = (Index(None, "message_id"), Index(None, "run_id", "click_class"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    message_id: Mapped[UUID | None]
    run_id: Mapped[UUID | None]
    click_class: Mapped[str]
    signed: Mapped[bool]
    named: Mapped[Json] = mapped_column(server_default=sql("'{}'"))
    """What an unsigned link said: campaign_id, lock_id, user_id, each cut to 200 characters."""
    user_agent: Mapped[str | None]
    clicked_at: Mapped[datetime] = mapped_column(server_default=_NOW)


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


class Device(Base):
    __tablename__ = "devices"
    __table_args__ = (Index(None, "owner_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str | None]
    """The person, by the id that the campaigns' sources use."""
    platform: Mapped[str]
    site: Mapped[str | None]
    fcm_token: Mapped[str | None]
    mqtt_client_id: Mapped[str | None]
    registered_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class Suppression(Base):
    """An address that gets nothing: the provider called it dead, or the person said so."""

    __tablename__ = "suppressions"

    channel: Mapped[str] = mapped_column(primary_key=True)
    address_hash: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    since: Mapped[datetime] = mapped_column(server_default=_NOW)


class ApiKey(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret_sha256: Mapped[str]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    expires_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Append-only: who did what to which run."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=_NOW)
    actor: Mapped[str]
    action: Mapped[str]
    run_id: Mapped[UUID | None]
    details: Mapped[Json] = mapped_column(server_default=sql("'{}'"))


class SweepCount(Base):
    """How often Sweep ran, for comparison with Temporal's memory: a database that is behind was restored."""

    __tablename__ = "sweep_count"

    id: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


# For what is written for every message: to build and run an update of a class costs four times as much CPU as to run a
# table's that was built once (`make bench`).
MESSAGES = cast("Table", Message.__table__)
ATTEMPTS = cast("Table", Attempt.__table__)
ACKNOWLEDGEMENTS = cast("Table", Acknowledgement.__table__)
