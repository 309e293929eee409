"""When a campaign runs by itself, in words."""

import re

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_AT = re.compile(r"(?P<minute>[0-5]?\d) (?P<hour>[01]?\d|2[0-3]) \* \* (?P<day>\*|[0-7]|[A-Za-z]{3})")


def schedule_words(cron: str, zone: str) -> str:
    """One time on every day, or on one day of the week; any other cron as it is written."""
    found = _AT.fullmatch(" ".join(cron.split()))
    day = found and _day(found["day"])
    if not found or not day:
        return f"by the cron schedule {cron}, {zone}"
    return f"every {day} at {int(found['hour']):02}:{int(found['minute']):02} {zone}"


def _day(word: str) -> str | None:
    if word == "*":
        return "day"
    if word.isdecimal():
        return _DAYS[int(word) % 7]
    return next((day for day in _DAYS if day[:3].upper() == word.upper()), None)
