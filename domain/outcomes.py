"""What became of what a campaign asked for: each subject is read again when its own window closes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Reading:
    """What the customer's data says of one subject now: when that was last done which the campaign asks for."""

    at: datetime | None = None
    """None: never, or it cannot be read."""
    readable: bool = True


class Arm(StrEnum):
    TREATED = "treated"
    HELD_OUT = "held_out"
    BOTH = "both"
    """Its people are in both, which the assignment by groups rules out; left out of the lift, and counted."""


class Outcome(StrEnum):
    HELPED = "helped"
    """Done after the window's opening and before its close."""
    NOT_HELPED = "not_helped"
    LATER = "later"
    """Done after the window's close, before it was read again: whatever was done in the window is overwritten."""
    UNREADABLE = "unreadable"
    GONE = "gone"
    """Not in the customer's data any more."""
    NOT_SENT = "not_sent"
    """Nobody was ever sent anything about it, and nobody would have been: there is no window."""


def outcome(reading: Reading | None, opens_at: datetime, closes_at: datetime) -> Outcome:
    """What one subject shows once its window has closed; None: it is gone."""
    if reading is None:
        return Outcome.GONE
    if not reading.readable:
        return Outcome.UNREADABLE
    if reading.at is None or reading.at <= opens_at:
        return Outcome.NOT_HELPED
    return Outcome.HELPED if reading.at <= closes_at else Outcome.LATER
