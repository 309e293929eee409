"""The proof as rows: one for each message, and one for whatever a report names and nobody knows."""

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import Engine

from db.proof import Entry, proven
from domain.proof import ReportDifference


def proof_rows(engine: Engine, run_id: UUID) -> Iterator[tuple[str, ...]]:
    """message_id, recipient_id, state, expected, proven (yes or no), attempts, why."""
    for each in proven(engine, run_id):
        yield _of_message(each) if isinstance(each, Entry) else _of_stranger(each)


def _of_message(entry: Entry) -> tuple[str, ...]:
    message, wrong = entry.message, entry.difference
    attempts = "; ".join(f"{each.number} {each.channel} {each.state}" for each in message.attempts)
    why = [wrong.why] if wrong else []
    why += [f"try {each.attempt} by {each.channel} {each.why}" for each in entry.report_differences]
    expected = wrong.expected if wrong else message.state
    is_proven = "no" if why else "yes"
    return (str(message.id), entry.recipient_id, message.state, expected, is_proven, attempts, "; ".join(why))


def _of_stranger(found: ReportDifference) -> tuple[str, ...]:
    return ("", "", "", "", "no", f"{found.attempt_id} {found.channel}", found.why)
