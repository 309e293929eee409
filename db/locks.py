"""Advisory locks, held to the end of the transaction. One order everywhere: run, person, message.

They are taken in a statement that reads nothing and the state is read in a later one: at READ COMMITTED a statement
that had to wait for a lock still sees the rows as they were before it waited.
"""

import hashlib
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

_EXCLUSIVE = text("select pg_advisory_xact_lock(:key)")
_SHARED = text("select pg_advisory_xact_lock_shared(:key)")
# A lock's answer is void, as text ''. Only a CASE makes PostgreSQL take them one after the other.
_RUN_AND_MESSAGE = text(
    "select case when pg_advisory_xact_lock_shared(:run)::text = '' then pg_advisory_xact_lock(:message)::text end"
)
_RUN_PERSON_AND_MESSAGE = text(
    "select case when pg_advisory_xact_lock_shared(:run)::text = '' then"
    " case when pg_advisory_xact_lock(:person)::text = '' then pg_advisory_xact_lock(:message)::text end end"
)


def share_run(session: Session, run_id: UUID) -> None:
    """Whoever claims a message of this run: a pause waits for them, and they for it."""
    session.execute(_SHARED, {"key": _key("run", str(run_id))})


def hold_run(session: Session, run_id: UUID) -> None:
    """Whoever changes the run's state: waits for the claims in flight, lets no later one through."""
    session.execute(_EXCLUSIVE, {"key": _key("run", str(run_id))})


def hold_to_decide(session: Session, run_id: UUID, person_key: str | None, message_id: UUID) -> None:
    """All three in one round trip; the person's so that two campaigns cannot both pass one person's cap."""
    keys = {"run": _key("run", str(run_id)), "message": _key("message", str(message_id))}
    if person_key is None:
        taken = session.scalar(_RUN_AND_MESSAGE, keys)
    else:
        taken = session.scalar(_RUN_PERSON_AND_MESSAGE, keys | {"person": _key("person", person_key)})
    if taken is None:
        raise RuntimeError("not all locks were taken: this PostgreSQL writes void otherwise than as ''")


def hold_person(session: Session, person_key: str) -> None:
    """Whoever changes what this person may be sent: waits for the claims in flight, lets no later one through."""
    session.execute(_EXCLUSIVE, {"key": _key("person", person_key)})


def hold_message(session: Session, message_id: UUID) -> None:
    session.execute(_EXCLUSIVE, {"key": _key("message", str(message_id))})


def hold_report(session: Session, run_id: UUID, channel: str) -> None:
    """Whoever replaces a channel's report of a run; taken alone."""
    session.execute(_EXCLUSIVE, {"key": _key("report", f"{run_id}:{channel}")})


def _key(kind: str, identity: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{kind}:{identity}".encode(), digest_size=8).digest(), signed=True)
