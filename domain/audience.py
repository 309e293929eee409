"""Rows of one person become one message."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from domain.message import Recipient

T = TypeVar("T")


def merge(rows: Sequence[Recipient]) -> Recipient:
    """All rows of one recipient in one: lists and addresses united in the order of the rows, else the first known."""
    first = rows[0]
    return replace(
        first,
        subject="",
        facts=_united_facts(row.facts for row in rows),
        addresses=united_addresses(row.addresses for row in rows),
        person_key=_first_known(row.person_key for row in rows),
        zone=_first_known(row.zone for row in rows),
        zone_candidates=tuple(dict.fromkeys(zone for row in rows for zone in row.zone_candidates)),
        language=_first_known(row.language for row in rows),
        acknowledges=any(row.acknowledges for row in rows),
    )


def united_addresses(parts: Iterable[Mapping[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    united: dict[str, list[str]] = {}
    for part in parts:
        for channel, addresses in part.items():
            known = united.setdefault(channel, [])
            known.extend(address for address in addresses if address not in known)
    return {channel: tuple(addresses) for channel, addresses in united.items()}


def _united_facts(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    united: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, list):
                known = united.setdefault(name, [])
                known.extend(each for each in value if each not in known)
            else:
                united.setdefault(name, value)
    return united


def _first_known(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)
