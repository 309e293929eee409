"""What became of what a campaign asked for: each subject is read again when its own window closes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Reading:
    """What the customer's data says of one subject: when that was last done which the campaign asks for."""

    at: datetime | None = None
    """None: never, or it cannot be read."""
    readable: bool = True


class Arm(StrEnum):
    TREATED = "treated"
    HELD_OUT = "held_out"
    BOTH = "both"
    """Some of its people are in the one and some in the other; left out of the lift, and counted."""


class Outcome(StrEnum):
    HELPED = "helped"
    """Done after the window's opening and before its close."""
    NOT_HELPED = "not_helped"
    LATER = "later"
    """Done after the window's close, before it was read again: what was done in the window is overwritten."""
    UNREADABLE = "unreadable"
    GONE = "gone"
    """Not in the customer's data any more."""
    NOT_SENT = "not_sent"
    """Nobody was sent anything about it, nor would have been: it has no window."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What was done about one subject, over all its people."""

    held_out: int
    """How many of them are held out."""
    treated: int
    ended: bool
    """Nothing more will be sent to any of them."""
    handed_over_at: datetime | None = None
    """The first time."""
    would_have_been_at: datetime | None = None
    """When the first of the held-out would have been sent something."""
    tried_at: datetime | None = None
    """The first try, also where it failed."""

    @property
    def arm(self) -> Arm:
        if self.held_out and self.treated:
            return Arm.BOTH
        return Arm.HELD_OUT if self.held_out else Arm.TREATED

    @property
    def opens_at(self) -> datetime | None:
        """When its window opens; None: that is not known yet, or there is none, where all has ended.

        Tries that all failed open one too: among the held out there are such people as well, and nobody knows whom.
        """
        return self.handed_over_at or self.would_have_been_at or (self.tried_at if self.ended else None)


def outcome(reading: Reading | None, opens_at: datetime, closes_at: datetime) -> Outcome:
    """What one subject shows once its window has closed; None: it is gone."""
    if reading is None:
        return Outcome.GONE
    if not reading.readable:
        return Outcome.UNREADABLE
    if reading.at is None or reading.at <= opens_at:
        return Outcome.NOT_HELPED
    return Outcome.HELPED if reading.at <= closes_at else Outcome.LATER
