"""Advisory locks, held to the end of the transaction. One order everywhere: run, person, message.

Each is taken in a statement of its own and the state is read in a later one: at READ COMMITTED a statement that had to
wait for a lock still sees the rows as they were before it waited.
"""

import hashlib
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

_EXCLUSIVE = text("select pg_advisory_xact_lock(:key)")
_SHARED = text("select pg_advisory_xact_lock_shared(:key)")


def share_run(session: Session, run_id: UUID) -> None:
    """Whoever claims a message of this run: a pause waits for them, and they for it."""
    session.execute(_SHARED, {"key": _key("run", str(run_id))})


def hold_run(session: Session, run_id: UUID) -> None:
    """Whoever changes the run's state: waits for the claims in flight, lets no later one through."""
    session.execute(_EXCLUSIVE, {"key": _key("run", str(run_id))})


def hold_person(session: Session, person_key: str) -> None:
    """So that two campaigns cannot both pass one person's cap."""
    session.execute(_EXCLUSIVE, {"key": _key("person", person_key)})


def hold_message(session: Session, message_id: UUID) -> None:
    session.execute(_EXCLUSIVE, {"key": _key("message", str(message_id))})


def _key(kind: str, identity: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{kind}:{identity}".encode(), digest_size=8).digest(), signed=True)
