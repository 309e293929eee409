"""Run time: wall time minus the time a run was paused. Deadlines are kept in it, so a pause shifts them for nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta


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
