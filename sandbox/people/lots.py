"""Draws an invented world by lot, from a seed."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import cycle
from typing import TypeVar

from sandbox.fcm import Fault
from sandbox.people.world import Age, Behaviour, InventedDevice, InventedLock, Person, Phone, Value, World

FRESH_DAYS = (0.0, 25.0)
OLD_DAYS = (35.0, 400.0)
"""Both stay clear of the campaign's 30 days, so that the figures hold for days after the world was made."""
AGES = {Age.FRESH: 0.45, Age.OLD: 0.42, Age.NEVER_CHECKED: 0.07, Age.UNREADABLE: 0.06}
PHONES = {Phone.ORDINARY: 0.78, Phone.SLOW: 0.04, Phone.REPLACED: 0.08, Phone.GONE: 0.04, Phone.NONE: 0.06}
OWNERS_OF_A_LOCK = {0: 0.05, 1: 0.85, 2: 0.10}
KNOWN_OWNER_SHARE = 0.35
"""Of a lock's owners, those who own an earlier lock already."""
DEVICE_SHARE = 0.20
"""Of all people, those with a device of ours; the behaviours take turns."""
UNREADABLE_VALUES: tuple[Value, ...] = ("soon", "31/12/2025", {"at": "yesterday"}, ["2026-01-01"], True, Decimal(-1))
NEVER_CHECKED_VALUES: tuple[Value, ...] = (None, "")

_Drawn = TypeVar("_Drawn")


def invent_world(locks: int, seed: int, as_of: datetime) -> World:
    """The same world for the same arguments; the locks' ages count back from `as_of`."""
    return _Lots(random.Random(seed), as_of).world(locks)


class _Lots:
    """What is drawn must stay in this order: a draw more changes all that come after it."""

    def __init__(self, lots: random.Random, as_of: datetime) -> None:
        self._lots = lots
        self._as_of = as_of
        self._people: list[Person] = []
        self._forms = cycle(_FORMS)
        self._unreadable = cycle(UNREADABLE_VALUES)
        self._never_checked = cycle(NEVER_CHECKED_VALUES)
        self._behaviours = cycle(Behaviour)

    def world(self, locks: int) -> World:
        invented = tuple(self._lock(number) for number in range(1, locks + 1))
        owners = {lock.id: self._owners() for lock in invented}
        return World(invented, {lock_id: people for lock_id, people in owners.items() if people})

    def _lock(self, number: int) -> InventedLock:
        age = self._one_of(AGES)
        return InventedLock(f"lock-{number:04}", age, self._last_check(age))

    def _last_check(self, age: Age) -> Value:
        if age is Age.NEVER_CHECKED:
            return next(self._never_checked)
        if age is Age.UNREADABLE:
            return next(self._unreadable)
        days = self._lots.uniform(*(FRESH_DAYS if age is Age.FRESH else OLD_DAYS))
        return next(self._forms)(self._as_of - timedelta(days=days))

    def _owners(self) -> tuple[Person, ...]:
        owners: dict[str, Person] = {}
        for _ in range(self._one_of(OWNERS_OF_A_LOCK)):
            known = self._people and self._lots.random() < KNOWN_OWNER_SHARE
            person = self._lots.choice(self._people) if known else self._newcomer()
            owners[person.id] = person
        return tuple(owners.values())

    def _newcomer(self) -> Person:
        number = len(self._people) + 1
        phone = self._one_of(PHONES)
        tokens = _tokens(phone, f"tok-{number:04}")
        device = self._device(number, tokens) if self._lots.random() < DEVICE_SHARE else None
        self._people.append(Person(_person_id(number), phone, tokens, device))
        return self._people[-1]

    def _device(self, number: int, tokens: tuple[str, ...]) -> InventedDevice:
        live = next((token for token in tokens if not token.endswith(Fault.DEAD)), None)
        return InventedDevice(f"device-{number:04}", _person_id(number), live, next(self._behaviours))

    def _one_of(self, shares: Mapping[_Drawn, float]) -> _Drawn:
        return self._lots.choices(list(shares), list(shares.values()))[0]


def _person_id(number: int) -> str:
    return f"owner-{number:04}"


def _tokens(phone: Phone, name: str) -> tuple[str, ...]:
    match phone:
        case Phone.ORDINARY:
            return (f"{name}:ok",)
        case Phone.SLOW:
            return (f"{name}:{Fault.SLOW}",)
        case Phone.REPLACED:
            return (f"{name}-1:{Fault.DEAD}", f"{name}-2:ok")
        case Phone.GONE:
            return (f"{name}:{Fault.DEAD}",)
        case Phone.NONE:
            return ()


def _as_iso(at: datetime) -> Value:
    return at.astimezone(timezone(timedelta(hours=2))).isoformat()


def _as_iso_z(at: datetime) -> Value:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _as_seconds(at: datetime) -> Value:
    return Decimal(int(at.timestamp()))


def _as_milliseconds(at: datetime) -> Value:
    return Decimal(int(at.timestamp() * 1000))


def _as_digits(at: datetime) -> Value:
    return str(int(at.timestamp()))


_FORMS = (_as_iso, _as_iso_z, _as_seconds, _as_milliseconds, _as_digits)
