"""A channel's own report of what it has taken: read from CSV, and what it says of one try."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.problems import ProblemError
from domain.states import HANDED_OVER, AttemptState

MESSAGE_ID, PROVIDER_ID = "message_id", "provider_id"
LONGEST_ID = 255

_NOT_TAKEN = frozenset({AttemptState.FAILED, AttemptState.RELEASED})


class BadReportError(ProblemError):
    def __init__(self, line: int, column: str, problem: str) -> None:
        super().__init__(f"line {line}, column {column}: {problem}; nothing was stored")


@dataclass(frozen=True, slots=True)
class Reported:
    """One message that a channel says it has taken."""

    message_id: UUID | None = None
    """Our attempt's id, as it travelled."""
    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A channel's report of one run, as it was imported."""

    channel: str
    reported_at: datetime
    rows: int
    names_ours: bool
    """It has our attempts' ids, and not the provider's alone."""


class InReport(StrEnum):
    """What a channel's own report says of a try."""

    NAMED = "named"
    NOT_NAMED = "not_named"
    CANNOT_SAY = "cannot_say"
    """It gives the provider's ids alone, and we never learned this try's."""
    OLDER = "older"
    """It came in before this try was made."""
    NO_REPORT = "no_report"


def standing(report: Report | None, *, named: bool, claimed_at: datetime, provider_id: str | None) -> InReport:
    if report is None:
        return InReport.NO_REPORT
    if named:
        return InReport.NAMED
    if claimed_at > report.reported_at:
        return InReport.OLDER
    return InReport.NOT_NAMED if report.names_ours or provider_id else InReport.CANNOT_SAY


def disagreement(state: AttemptState, in_report: InReport, *, judged: bool = False) -> str | None:
    """None: the ledger and the report do not contradict each other; an unknown outcome never does.

    `judged`: that it was sent is an operator's word.
    """
    if state in HANDED_OVER and in_report is InReport.NOT_NAMED:
        how = "was judged as sent" if judged else "was handed over"
        return f"{how}, and the channel's report does not name it"
    if state in _NOT_TAKEN and in_report is InReport.NAMED:
        return f"is {state}, and the channel's report says that it was taken"
    return None


def read_report(lines: Iterable[bytes]) -> Iterator[Reported]:
    """CSV in UTF-8 with a header that has `message_id`, `provider_id` or both; other columns are passed over.

    Raises BadReportError at the first line that cannot be read.
    """
    rows = csv.reader(_decoded(lines), strict=True)
    columns: dict[str, int] | None = None
    width = 0
    try:
        for row in rows:
            if columns is None:
                columns, width = _columns(row, rows.line_num), len(row)
            elif row:
                yield _reported(row, columns, width, rows.line_num)
    except csv.Error as error:
        raise BadReportError(rows.line_num, "1", f"it is not CSV ({error})") from error
    if columns is None:
        raise BadReportError(1, MESSAGE_ID, "the file is empty; a report of nothing has its header alone")


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadReportError(number, f"at byte {error.start + 1}", "it is not UTF-8; save it as such") from None


def _columns(header: list[str], line: int) -> dict[str, int]:
    names = [name.strip() for name in header]
    twice = next((name for name in (MESSAGE_ID, PROVIDER_ID) if names.count(name) > 1), None)
    if twice:
        raise BadReportError(line, twice, "it is there twice; leave one out")
    known = {name: names.index(name) for name in (MESSAGE_ID, PROVIDER_ID) if name in names}
    if not known:
        found = ", ".join(names)[:100]
        raise BadReportError(
            line, MESSAGE_ID, f"it is missing, and so is {PROVIDER_ID}; the header, parted by commas, has: {found}"
        )
    return known


def _reported(row: list[str], columns: Mapping[str, int], width: int, line: int) -> Reported:
    if len(row) != width:
        raise BadReportError(line, str(min(len(row), width) + 1), f"{len(row)} cells, and the header has {width}")
    values = {name: _value(row[place], name, line) for name, place in columns.items()}
    if not any(values.values()):
        raise BadReportError(line, " and ".join(columns), "nothing is in it; every line names one message")
    given = values.get(MESSAGE_ID)
    return Reported(_uuid(given, line) if given else None, values.get(PROVIDER_ID) or None)


def _value(cell: str, column: str, line: int) -> str:
    value = cell.strip()
    if len(value) > LONGEST_ID or not value.isprintable():
        raise BadReportError(line, column, f"not an id: {LONGEST_ID} printable characters at most")
    return value


def _uuid(value: str, line: int) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise BadReportError(
            line, MESSAGE_ID, f"{value[:40]!r} is not a UUID; it is the message_id that travelled with the message"
        ) from None
