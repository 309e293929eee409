"""What somebody types for a run's parameters, and for a time."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import typer

FURTHEST = timedelta(days=3660)


def read_parameters(given: list[str]) -> dict[str, Any]:
    """name=value; a value that is JSON is taken as such, else as text."""
    parameters: dict[str, Any] = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator:
            raise typer.BadParameter(f"{each!r} is not name=value", param_hint="--param")
        try:
            parameters[name] = json.loads(value)
        except json.JSONDecodeError:
            parameters[name] = value
    return parameters


def read_time(given: str) -> datetime:
    """RFC 3339, with its offset: without one nobody knows whose nine o'clock it is."""
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise _no_time(f"{given!r} is not a time") from None
    if at.tzinfo is None:
        raise _no_time(f"{given!r} has no offset")
    if abs(at - datetime.now(UTC)) > FURTHEST:
        raise _no_time(f"{given!r} is more than ten years away")
    return at


def _no_time(why: str) -> typer.BadParameter:
    return typer.BadParameter(
        f"{why}: write it as 2026-03-02T09:00:00+01:00 or 2026-03-02T08:00:00Z", param_hint="--at"
    )
