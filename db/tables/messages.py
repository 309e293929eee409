"""Messages, every try of them, and what came back."""

from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Table, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import NOW, Base, Json

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
        Index("ix_messages_ownerless", "recipient_id", postgresql_where=sql("person_key is null")),
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
    zone_candidates: Mapped[list[str]] = mapped_column(server_default=sql("'{}'"))
    """Where the zone is not known: those it may be; what is permitted in all of them is permitted."""
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
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


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
    verdict: Mapped[str | None]
    """An operator's, on an unknown outcome: `was_sent` or `retry`."""
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


class Deferral(Base):
    """A message was put off by a person's rule or a provider: kept, so that it can be told afterwards."""

    __tablename__ = "deferrals"
    __table_args__ = (Index(None, "message_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    message_id: Mapped[UUID] = mapped_column(ForeignKey("drumbeat.messages.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    reason: Mapped[str]
    until: Mapped[datetime | None]


class Acknowledgement(Base):
    """Every one that came; the first of a message delivers it."""

    __tablename__ = "acknowledgements"
    __table_args__ = (Index(None, "attempt_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("drumbeat.attempts.id", ondelete="CASCADE"))
    received_at: Mapped[datetime]
    arrived_at: Mapped[datetime] = mapped_column(server_default=NOW)
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
    clicked_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ReportedAttempt(Base):
    """What a channel's own report says was taken: the proof holds the attempts against it."""

    __tablename__ = "reported_attempts"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("drumbeat.runs.id", ondelete="CASCADE"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    reported_id: Mapped[str] = mapped_column(primary_key=True)
    """Our attempt's id as it travelled, or the provider's own id for it; "" alone where a report was empty."""
    ours: Mapped[bool]
    """The id is our attempt's and not the provider's."""
    reported_at: Mapped[datetime] = mapped_column(server_default=NOW)


# For what is written for every message: to build and run an update of a class costs four times as much CPU as to run a
# table's that was built once (`make bench`).
MESSAGES = cast("Table", Message.__table__)
ATTEMPTS = cast("Table", Attempt.__table__)
DEFERRALS = cast("Table", Deferral.__table__)
ACKNOWLEDGEMENTS = cast("Table", Acknowledgement.__table__)
