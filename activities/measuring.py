"""Reading what became of a run's subjects, as their windows close."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.orders import Measurement, MeasureOrder
from campaigns.campaign import Campaign
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
            with transaction(self._engine) as session:
                note_measurement(session, order.run_id, str(error))
            raise ApplicationError(str(error), type=type(error).__name__) from error
        with transaction(self._engine) as session:
            over = close_measurement(session, order.run_id)
            look_again = _look_again(still_open(session, order.run_id), window)
        return Measurement(over=over, look_again_seconds=look_again.total_seconds(), read=read)

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
            campaign, source = self._read_with(order.campaign)
            readings = campaign.read_again(source, [window.subject for window in windows])  # type: ignore[misc] # there
            with transaction(self._engine) as session:
                store_outcomes(session, order.run_id, windows, readings)
            activity.heartbeat()
            read += len(windows)

    def _read_with(self, name: str) -> tuple[Campaign[Any], Any]:
        campaign = self._registry[name]
        if campaign.read_again is None or campaign.source not in self._sources:
            raise ProblemError(
                f"source {campaign.source!r} of {name} is off, or cannot be read again: see its settings"
            )
        return campaign, self._sources[campaign.source]


def _look_again(awaited: StillOpen, window: timedelta) -> timedelta:
    """When the next window closes, but so seldom that the many that close soon after one another are read together.

    At least hourly while some have not opened, since nobody tells us when they do.
    """
    at_least = min(max(window / 10, SOONEST_LOOK), SELDOMEST_LOOK)
    if awaited.closes_at is None:
        return at_least
    closes_in = awaited.closes_at - awaited.now
    return at_least if awaited.unopened else max(closes_in, at_least)
