"""The proof as a table: one line for each message, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Iterator

COLUMNS = ("message_id", "recipient_id", "state", "expected", "proven", "attempts", "why")
_A_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")


def proof_lines(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """The header, then each row, as CSV (RFC 4180)."""
    yield _line(COLUMNS)
    for row in rows:
        yield _line(tuple(map(harmless, row)))


def harmless(cell: str) -> str:
    """A spreadsheet would take what begins like a formula for one."""
    return f"'{cell}" if cell.startswith(_A_FORMULA_BEGINS) else cell


def _line(cells: tuple[str, ...]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()
