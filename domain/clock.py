"""Run time: wall time minus the time a run was paused. Deadlines are kept in it, so a pause shifts them for nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.problems import ProblemError


class ClockPolicy(StrEnum):
    """What a pause does to the deadlines of what was sent before it; said when the run is resumed."""

    SHIFT = "shift"
    """Each moves by the time paused: everybody has the whole of their time."""
    KEEP = "keep"
    """They stand; what is overdue goes to its next rung."""
    EXPIRE_OVERDUE = "expire_overdue"
    """They stand; what is overdue ends."""


class UnknownClockPolicyError(ProblemError):
    def __init__(self, word: str) -> None:
        super().__init__(f"there is no clock policy {word!r}: resume with {', '.join(ClockPolicy)}")


def clock_policy(word: str) -> ClockPolicy:
    """Raises UnknownClockPolicyError."""
    try:
        return ClockPolicy(word)
    except ValueError as error:
        raise UnknownClockPolicyError(word) from error


@dataclass(frozen=True, slots=True)
class RunClock:
    paused_total: timedelta = timedelta()
    """Time spent in pauses that ended and that shifted the deadlines."""
    paused_at: datetime | None = None
    """When the pause under way began; None while the run's time moves."""

    def run_time(self, wall: datetime) -> datetime:
        return (self.paused_at or wall) - self.paused_total

    def wall_time(self, run_time: datetime) -> datetime | None:
        """When the wall clock will show that run time; None while the clock stands still."""
        return None if self.paused_at else run_time + self.paused_total

    def deadline(self, handed_over_at: datetime, ttl: timedelta) -> datetime:
        """In run time. What is recorded in a pause may be awaited a little longer, but under no policy less."""
        return handed_over_at - self.paused_total + ttl

    def resumed(self, now: datetime, policy: ClockPolicy) -> "RunClock":
        paused = now - self.paused_at if self.paused_at and policy is ClockPolicy.SHIFT else timedelta()
        return RunClock(self.paused_total + paused)
