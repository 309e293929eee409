"""A planned time that passed without a run: whether the run still starts, late, or is listed as missed."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

TOLERANCE = timedelta(minutes=1)
"""A run that begins within it is on time: a worker that starts, a busy server."""
LONGEST = timedelta(days=31)
"""So long a planned time is remembered by Temporal while it is away itself; of older ones nobody hears."""
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_SPAN = re.compile(r"(?P<policy>late|once):(?P<number>\d{1,5})(?P<unit>[mhd])")
_FORMS = "must be skip, late:6h (run late, up to six hours) or once:2d (only the newest of the missed, up to two days)"


class MissedPolicy(StrEnum):
    SKIP = "skip"
    LATE = "late"
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class MissedRuns:
    """What becomes of a run that could not start at its time: since Temporal was away, or every worker."""

    policy: MissedPolicy = MissedPolicy.LATE
    until: timedelta = timedelta(minutes=10)
    """So late it may start still; of no meaning for `skip`."""

    def __post_init__(self) -> None:
        if not TOLERANCE <= self.until <= LONGEST:
            raise ValueError(f"a missed run may start from 1 minute to {LONGEST.days} days late, not {self.until}")

    def __str__(self) -> str:
        if self.policy is MissedPolicy.SKIP:
            return self.policy
        unit = next(unit for unit in ("d", "h", "m") if not self.until % _UNITS[unit] or unit == "m")
        return f"{self.policy}:{self.until // _UNITS[unit]}{unit}"


def missed_runs_of(text: str) -> MissedRuns:
    """Of `skip`, `late:6h`, `once:2d`. Raises ValueError, which says what to write."""
    if text == MissedPolicy.SKIP:
        return MissedRuns(MissedPolicy.SKIP)
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(_FORMS)
    return MissedRuns(MissedPolicy(found["policy"]), int(found["number"]) * _UNITS[found["unit"]])


def planned_time(slot: str) -> datetime | None:
    """As Temporal appends it to the workflow's id; None: the slot is a key of somebody's."""
    try:
        at = datetime.fromisoformat(slot)
    except ValueError:
        return None
    return at if at.tzinfo else None


def depends_on_newer(missed: MissedRuns, planned_at: datetime, now: datetime) -> bool:
    """Whether it matters that a newer planned time has come."""
    return missed.policy is MissedPolicy.ONCE and TOLERANCE < now - planned_at <= missed.until


def why_missed(missed: MissedRuns, planned_at: datetime, now: datetime, newer: datetime | None = None) -> str | None:
    """None: it starts now. `newer` is a later planned time that has come already."""
    late_by = now - planned_at
    if late_by <= TOLERANCE:
        return None
    if missed.policy is MissedPolicy.SKIP:
        return f"{_words(late_by)} late; the campaign skips what it has missed ({missed})"
    if late_by > missed.until:
        return f"{_words(late_by)} late, more than the campaign allows ({missed})"
    if missed.policy is MissedPolicy.ONCE and newer is not None:
        return f"{newer:%Y-%m-%d %H:%M} UTC has come as well, and only the newest is run ({missed})"
    return None


def _words(late_by: timedelta) -> str:
    minutes = late_by // timedelta(minutes=1)
    hours, days = minutes // 60, minutes // (24 * 60)
    if days > 1:
        return f"{days} days"
    return f"{hours} hours" if hours > 1 else f"{minutes} minutes"
