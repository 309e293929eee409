"""A suppression list as a file: read row by row whatever program wrote it, and written as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.addresses import checked, checked_channel
from domain.hashing import HASH, AddressHasher
from domain.problems import ProblemError
from domain.suppression import Reason, checked_reason

EXPORTED = ("channel", "address_hash", "reason", "source", "since", "key_id")
LONGEST_LINE = 64 * 1024
_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")


class BadListError(ProblemError):
    """The file as a whole cannot be read; nothing of it was taken."""


@dataclass(frozen=True, slots=True)
class Entry:
    line: int
    channel: str
    address_hash: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    line: int
    why: str


@dataclass(frozen=True, slots=True)
class _Columns:
    names: Sequence[str]
    delimiter: str
    places: dict[str, int] = field(default_factory=dict)


def read_list(lines: Iterable[bytes], hash_address: AddressHasher) -> Iterator[Entry | Refused]:
    """Each row as an entry, or why it is refused; in flat memory. Raises BadListError before the first row.

    UTF-8 with or without a mark, or Windows' cp1252, line by line; separated by commas, semicolons or tabs.
    """
    decoded = _decoded(lines)
    columns = _columns(next(decoded, ""))
    for number, line in enumerate(decoded, start=2):
        try:
            # Each line by itself: a quote that is never closed must not swallow those that follow.
            row = next(csv.reader([line], delimiter=columns.delimiter, strict=True), [])
        except csv.Error as error:
            yield Refused(number, f"it is not CSV: {error}")
            continue
        if any(cell.strip() for cell in row):
            yield _read(number, columns, row, hash_address)


def export_lines(rows: Iterable[tuple[str, str, str, str, datetime]], key_id: str) -> Iterator[str]:
    """The header and each row, a line each."""
    yield _line(EXPORTED)
    for channel, address_hash, reason, source, since in rows:
        yield _line((channel, address_hash, reason, source, since.isoformat(), key_id))


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(cells)
    return written.getvalue()


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if number == 1 and line.startswith(_OTHER_BOMS):
            raise BadListError("the file is UTF-16: save it as CSV in UTF-8")
        if len(line) > LONGEST_LINE:
            raise BadListError(f"line {number} is longer than {LONGEST_LINE} bytes: this is no list of addresses")
        yield _text(line.removeprefix(_BOM) if number == 1 else line)


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _columns(header: str) -> _Columns:
    delimiter = max(",;\t", key=header.count)
    names = [name.strip().strip('"').lower() for name in header.split(delimiter)]
    if "channel" not in names or ("address" in names) == ("address_hash" in names):
        raise BadListError(
            "line 1 must name the columns: channel,address or channel,address_hash, and reason where there is one"
        )
    return _Columns(names, delimiter, {name: place for place, name in reversed(list(enumerate(names)))})


def _read(line: int, columns: _Columns, row: Sequence[str], hash_address: AddressHasher) -> Entry | Refused:
    if len(row) != len(columns.names):
        return Refused(line, f"it has {len(row)} cells, the header has {len(columns.names)}")
    cells = {name: row[place].strip() for name, place in columns.places.items()}
    try:
        channel = checked_channel(cells["channel"].lower())
        reason = checked_reason(cells.get("reason") or Reason.IMPORTED)
        return Entry(line, channel, _hash(channel, cells, hash_address), reason)
    except ProblemError as error:
        return Refused(line, str(error))


def _hash(channel: str, cells: dict[str, str], hash_address: AddressHasher) -> str:
    if "address" in cells:
        return hash_address(channel, checked(channel, cells["address"]))
    if not HASH.fullmatch(cells["address_hash"]):
        raise BadListError("address_hash: it is not a hash as `suppress export` writes them, of 64 digits and letters")
    if cells.get("key_id", hash_address.key_id) != hash_address.key_id:
        raise BadListError("key_id: this hash was made with another ADDRESS_HASH_KEY, and would match nobody here")
    return cells["address_hash"]
