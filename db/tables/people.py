"""People's devices, and what they have said about being written to."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import NOW, Base


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
    registered_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Suppression(Base):
    """An address that gets nothing: the provider called it dead, or the person said so.

    Under the channel `person` stands the hash of a person's key: nothing reaches them on any channel.
    """

    __tablename__ = "suppressions"
    __table_args__ = (Index(None, "run_id", postgresql_where=sql("run_id is not null")),)

    channel: Mapped[str] = mapped_column(primary_key=True)
    address_hash: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    source: Mapped[str] = mapped_column(server_default=sql("'provider'"))
    """provider, person, operator or import."""
    since: Mapped[datetime] = mapped_column(server_default=NOW)
    run_id: Mapped[UUID | None]
    """By whose message it came about; complaints are counted by it."""


class Consent(Base):
    """What a person said of one purpose on one channel; the person as a keyed hash."""

    __tablename__ = "consents"

    person_hash: Mapped[str] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    """`*`: all of them."""
    granted: Mapped[bool]
    source: Mapped[str]
    """Who says so: a list's import, the person, an operator."""
    since: Mapped[datetime] = mapped_column(server_default=NOW)
