"""Reading what became of a run's subjects, as their windows close."""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.audience import source_of
from activities.opening import NotMeasurableError
from activities.orders import Measurement, MeasureOrder
from campaigns.registry import Registry, UnknownCampaignError
from db.engine import transaction
from db.measurement import (
    StillOpen,
    close_measurement,
    closed_windows,
    note_measurement,
    open_windows,
    still_open,
    store_outcomes,
)
from db.runs import plan_of
from domain.outcomes import Reading
from domain.problems import ProblemError

PAGE = 1000
READ_AT_ONCE = 200
"""Subjects; a source that is paced or throttled must give a sign of life between two pages."""
SELDOMEST_LOOK = timedelta(hours=1)
SOONEST_LOOK = timedelta(seconds=1)


class Measuring:
    def __init__(self, engine: Engine, registry: Registry, sources: Mapping[str, Any]) -> None:
        self._engine = engine
        self._registry = registry
        self._sources = sources

    @activity.defn
    def measure_run(self, order: MeasureOrder) -> Measurement:
        """Open the windows that have begun, read the subjects whose windows have closed, and say when to look again."""
        with transaction(self._engine) as session:
            window = timedelta(seconds=plan_of(session, order.run_id).measured_for_seconds or 0)
        self._open_windows(order.run_id, window)
        try:
            read = self._read_closed(order)
        except (ProblemError, UnknownCampaignError) as error:
            self._note(order.run_id, str(error))
            raise ApplicationError(str(error), type=type(error).__name__) from error
        except Exception as error:
            # A fault of the campaign's or the source's own code: the log has it whole, the run says so in a word.
            self._note(order.run_id, f"the outcomes cannot be read ({type(error).__name__}): see the worker's log")
            raise
        with transaction(self._engine) as session:
            over = close_measurement(session, order.run_id)
            look_again = _look_again(still_open(session, order.run_id), window)
        return Measurement(over=over, look_again_seconds=look_again.total_seconds(), read=read)

    def _note(self, run_id: UUID, reason: str) -> None:
        with transaction(self._engine) as session:
            note_measurement(session, run_id, reason)

    def _open_windows(self, run_id: UUID, window: timedelta) -> None:
        after: str | None = ""
        while after is not None:
            with transaction(self._engine) as session:
                after = open_windows(session, run_id, window, after, PAGE)
            activity.heartbeat()

    def _read_closed(self, order: MeasureOrder) -> int:
        """How many. The source is asked outside of a transaction: it takes as long as it takes."""
        read = 0
        while True:
            with transaction(self._engine) as session:
                windows = closed_windows(session, order.run_id, READ_AT_ONCE)
            if not windows:
                return read
            readings = self._reader(order.campaign)([window.subject for window in windows])
            with transaction(self._engine) as session:
                store_outcomes(session, order.run_id, windows, readings)
            activity.heartbeat()
            read += len(windows)

    def _reader(self, name: str) -> Callable[[Collection[str]], Mapping[str, Reading]]:
        campaign = self._registry[name]
        if campaign.read_again is None:
            raise NotMeasurableError(name)
        return partial(campaign.read_again, source_of(campaign, self._sources))


def _look_again(awaited: StillOpen, window: timedelta) -> timedelta:
    """When the next window closes, but so seldom that the many that close soon after one another are read together.

    At least hourly while some have not opened, since nobody tells us when they do.
    """
    at_least = min(max(window / 10, SOONEST_LOOK), SELDOMEST_LOOK)
    if awaited.closes_at is None:
        return at_least
    closes_in = awaited.closes_at - awaited.now
    return at_least if awaited.unopened else max(closes_in, at_least)
