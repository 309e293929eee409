"""Who did what: append-only."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from db.tables import ApiKey, AuditEntry, Run
from domain.audit_words import sentence


class AuditView(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: int
    at: datetime
    actor: str
    """A key's id, `cli:` and a log-in name, or what acted by itself."""
    actor_name: str | None
    """The key's name, where it is one."""
    action: str
    sentence: str
    run_id: UUID | None
    run: str | None
    """campaign-slot."""
    details: dict[str, Any]
    """As they were written."""


def write_audit(session: Session, actor: str, action: str, run_id: UUID | None, **details: object) -> None:
    """`actor` is a key's id, `cli:` and a log-in name, or `temporal` for a signal typed there."""
    session.execute(insert(AuditEntry).values(actor=actor, action=action, run_id=run_id, details=details))


def list_audit(
    session: Session,
    limit: int,
    *,
    run_id: UUID | None = None,
    actor: str | None = None,
    action: str | None = None,
    before: int | None = None,
) -> list[AuditView]:
    """The newest first; `before` is the id of the last entry of the page before."""
    query = (
        select(AuditEntry, ApiKey.name, Run.campaign, Run.slot)
        .outerjoin(ApiKey, ApiKey.id == AuditEntry.actor)
        .outerjoin(Run, Run.id == AuditEntry.run_id)
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    )
    wanted = {AuditEntry.run_id: run_id, AuditEntry.actor: actor, AuditEntry.action: action}
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    return [_view(*row) for row in session.execute(query)]


def _view(entry: AuditEntry, key_name: str | None, campaign: str | None, slot: str | None) -> AuditView:
    return AuditView(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        actor_name=key_name,
        action=entry.action,
        sentence=sentence(entry.action, entry.details),
        run_id=entry.run_id,
        run=f"{campaign}-{slot}" if campaign else None,
        details=entry.details,
    )
