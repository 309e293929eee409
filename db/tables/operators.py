"""Keys, the audit log, and what Sweep counts."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Identity
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import NOW, Base, Json


class ApiKey(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret_sha256: Mapped[str]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Append-only: who did what to which run."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    actor: Mapped[str]
    action: Mapped[str]
    run_id: Mapped[UUID | None]
    details: Mapped[Json] = mapped_column(server_default=sql("'{}'"))


class SweepCount(Base):
    """How often Sweep ran, for comparison with Temporal's memory: a database that is behind was restored."""

    __tablename__ = "sweep_count"

    id: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
