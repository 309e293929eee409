"""Any number of locks, each with all that is to be known of it made from its number, so that nothing need be kept."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

KEY = "lock_id"
FIELD = "last_battery_check"
NOW = datetime.now(UTC)
STALE = NOW - timedelta(days=60)

_STANDINGS = (*["fresh"] * 6, *["stale"] * 2, "never_checked", "unreadable")
_BLANK: tuple[dict[str, Any], ...] = ({}, {FIELD: {"NULL": True}}, {FIELD: {"S": ""}})
_GARBLED: tuple[dict[str, Any], ...] = ({"S": "soon"}, {"BOOL": True}, {"M": {}}, {"N": "-1"}, {"SS": ["2026-01-01"]})

Row = tuple[str, str, str | None]
"""Of the mapping: lock, user, token."""


def lock_of(number: int) -> str:
    return f"lock-{number:07}"


def number_of(lock_id: str) -> int:
    return int(lock_id.removeprefix("lock-"))


def standing_of(number: int) -> str:
    return _STANDINGS[number % 10]


def item_of(number: int) -> dict[str, Any]:
    """As DynamoDB has it, with an attribute that nobody asks for."""
    return {KEY: {"S": lock_of(number)}, "model": {"S": "round"}, **_last_check(number)}


def rows_of(number: int) -> Iterator[Row]:
    """Neighbours share an owner; some locks have two, some owners two tokens or none, some rows come twice."""
    if number % 4 == 0 or (standing_of(number) == "fresh" and number % 50):
        return
    owner = number // 3
    first = (lock_of(number), f"user-{owner}", None if number % 13 == 0 else f"token-{owner}")
    yield first
    if number % 11 == 0:
        yield first
    if number % 17 == 0:
        yield (lock_of(number), f"user-{owner}", f"token-{owner}-of-another-phone")
    if number % 7 == 0:
        yield (lock_of(number), f"user-{owner + 1}", f"token-{owner + 1}")


@dataclass
class Expected:
    """What a run that targets the first so many locks must come to."""

    left_out: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    locks_by_user: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    rows: int = 0

    @classmethod
    def of(cls, locks: int) -> "Expected":
        expected = cls()
        for number in range(locks):
            expected._count(number)
        return expected

    def _count(self, number: int) -> None:
        standing = standing_of(number)
        if standing == "fresh":
            self.left_out["fresh"] += 1
            return
        if standing != "stale":
            self.noted[standing] += 1
        tokens: dict[str, set[str | None]] = defaultdict(set)
        for _, user, token in rows_of(number):
            tokens[user].add(token)
        self.left_out["unmapped"] += not tokens
        self.noted["without_token"] += sum(of_user == {None} for of_user in tokens.values())
        self.rows += len(tokens)
        for user in tokens:
            self.locks_by_user[user].add(lock_of(number))


def _last_check(number: int) -> dict[str, Any]:
    standing, form = standing_of(number), number // 10
    if standing == "never_checked":
        return _BLANK[form % len(_BLANK)]
    if standing == "unreadable":
        return {FIELD: _GARBLED[form % len(_GARBLED)]}
    at = (STALE if standing == "stale" else NOW) - timedelta(seconds=number % 1000)
    forms = ({"S": at.isoformat()}, {"N": str(int(at.timestamp()))}, {"N": str(int(at.timestamp() * 1000))})
    return {FIELD: forms[form % len(forms)]}
