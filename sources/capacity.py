"""How much of a table's read capacity our reading may take from the customer's own."""

from __future__ import annotations  # the stubs' names exist for mypy alone

import time
from collections.abc import Callable
from threading import Event, Lock
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

log = structlog.get_logger()

SAVED_SECONDS = 1.0
"""What was not spent may be spent later, but no more than this much of it."""
_OURS = 0.5


class ReadCapacity:
    """Units that may be spent a second, by all threads and walks of this process together.

    What a call costs is known after it only. So a call may be made while nothing is owed, and each call's cost keeps
    the next ones waiting until it is paid off. Without a rate all calls are free.
    """

    def __init__(
        self,
        wanted: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[Event, float], bool] = Event.wait,
    ) -> None:
        """`wanted` units a second; None: half of what the table has provisioned."""
        self._wanted = wanted
        self._clock = clock
        self._pause = pause
        self._lock = Lock()
        self._rate = wanted
        self._balance = 0.0
        self._as_of = clock()
        self._said = False

    def suit(self, description: TableDescriptionTypeDef | None) -> None:
        """A table on demand has no limit that we could share; of one that we may not look at (None) we know none."""
        if self._wanted is not None:
            return
        if description is None:
            self._say_once()
        provisioned = description["ProvisionedThroughput"]["ReadCapacityUnits"] if description else 0
        with self._lock:
            self._settle()
            self._rate = provisioned * _OURS or None

    def spent(self, units: float) -> None:
        with self._lock:
            self._settle()
            self._balance -= units

    def seconds_owed(self) -> float:
        with self._lock:
            self._settle()
            # Rounded: what is left of a debt by the arithmetic of floats alone is none.
            return max(round(-self._balance / self._rate, 6), 0.0) if self._rate else 0.0

    def wait(self, stopped: Event, at_most: float) -> bool:
        """Until nothing is owed, but no longer than these seconds and not beyond `stopped`; whether nothing is."""
        give_up = self._clock() + at_most
        while owed := self.seconds_owed():
            left = give_up - self._clock()
            if left <= 0 or self._pause(stopped, min(owed, left)):
                return False
        return True

    def _settle(self) -> None:
        now, rate = self._clock(), self._rate or 0.0
        self._balance = min(self._balance + rate * (now - self._as_of), rate * SAVED_SECONDS) if rate else 0.0
        self._as_of = now

    def _say_once(self) -> None:
        if not self._said:
            log.warning(
                "locks_are_read_without_a_limit",
                because="dynamodb:DescribeTable is denied, so that the table's read capacity is not known",
                remedy="allow it, or set LOCKS_READ_CAPACITY",
            )
        self._said = True
