"""Who did what: append-only."""

from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.orm import Session

from db.tables import AuditEntry


def write_audit(session: Session, actor: str, action: str, run_id: UUID | None, **details: object) -> None:
    """`actor` is a key's id, `cli:` and a log-in name, or `temporal` for a signal typed there."""
    session.execute(insert(AuditEntry).values(actor=actor, action=action, run_id=run_id, details=details))
