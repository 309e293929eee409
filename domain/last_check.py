"""When a lock's battery was last checked, out of whatever the customer's table says."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from domain.outcomes import Reading

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""What claims to lie outside of EPOCH to LATEST is no time of a check, and would otherwise look fresh for ever."""
MOST_SECONDS = 100_000_000_000
"""A greater number counts milliseconds since the epoch, a smaller one seconds."""
_MOST_MILLISECONDS = (LATEST - EPOCH) // timedelta(milliseconds=1)

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


class Standing(StrEnum):
    CHECKED = "checked"
    NEVER_CHECKED = "never_checked"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class LastCheck:
    standing: Standing
    at: datetime | None = None
    """In UTC; None unless the lock was checked."""

    @property
    def reading(self) -> Reading:
        return Reading(self.at, readable=self.standing is not Standing.UNREADABLE)


NEVER_CHECKED = LastCheck(Standing.NEVER_CHECKED)
UNREADABLE = LastCheck(Standing.UNREADABLE)


def read_last_check(value: object) -> LastCheck:
    """ISO-8601 text (UTC where it names no offset) or seconds or milliseconds since the epoch, as number or text.

    Never raises: what cannot be read, of whatever type, is UNREADABLE; None and blank text are NEVER_CHECKED.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return NEVER_CHECKED
    try:
        at = _moment(value)
    except (ValueError, TypeError, ArithmeticError):
        return UNREADABLE
    return LastCheck(Standing.CHECKED, at) if EPOCH <= at < LATEST else UNREADABLE


def is_stale(last_check: LastCheck, as_of: datetime, older_than: timedelta) -> bool:
    """Whether the check is older than that at `as_of`; never checked and unreadable are stale too."""
    return last_check.at is None or as_of - last_check.at > older_than


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        text = value.strip()
        return _since_epoch(Decimal(text)) if _NUMBER.fullmatch(text) else _from_iso(text)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _since_epoch(Decimal(value))
    raise TypeError(f"a {type(value).__name__} is no time")


def _from_iso(text: str) -> datetime:
    at = datetime.fromisoformat(text.upper())  # RFC 3339 allows a small z
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _since_epoch(number: Decimal) -> datetime:
    # A huge exponent would take for ever below; a NaN raises an ArithmeticError in the comparison.
    if not 0 <= number <= _MOST_MILLISECONDS:
        raise ValueError("no time of a check")
    return EPOCH + timedelta(microseconds=int(number * (1_000 if number > MOST_SECONDS else 1_000_000)))
