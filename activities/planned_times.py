"""Whether a run that a schedule started begins at its time, still may, or was missed."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, func, select
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.orders import SCHEDULE, OpenOrder
from campaigns.registry import Registry
from db.engine import transaction
from db.missed import forget_missed, note_missed
from db.runs import has_run
from domain.ids import slot_of
from domain.missed import MissedRuns, depends_on_newer, planned_time, why_missed

NewestSlot = Callable[[str, datetime, datetime], Coroutine[Any, Any, datetime | None]]
"""Of a campaign's schedule, the newest planned time after the first moment and not after the second."""


def ask_temporal(client: Client) -> NewestSlot:
    async def newest_slot(campaign: str, after: datetime, until: datetime) -> datetime | None:
        asked = ListScheduleMatchingTimesRequest(namespace=client.namespace, schedule_id=campaign)
        asked.start_time.FromDatetime(after + timedelta(seconds=1))
        asked.end_time.FromDatetime(until)
        try:
            found = await client.workflow_service.list_schedule_matching_times(asked)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None  # there is no schedule any more, so nothing newer comes of it
        return max((each.ToDatetime(after.tzinfo) for each in found.start_time), default=None)

    return newest_slot


@dataclass(frozen=True, slots=True)
class _Planned:
    campaign: str
    at: datetime
    now: datetime
    missed: MissedRuns


class PlannedTimes:
    def __init__(self, engine: Engine, registry: Registry, newest_slot: NewestSlot) -> None:
        self._engine = engine
        self._registry = registry
        self._newest_slot = newest_slot

    async def why_missed(self, order: OpenOrder) -> str | None:
        """None: the run begins. A missed one is written down, with the reason."""
        planned = await asyncio.to_thread(self._look, order)
        if planned is None:
            return None
        newer = None
        if depends_on_newer(planned.missed, planned.at, planned.now):
            newer = await self._newest_slot(planned.campaign, planned.at, planned.now)
        reason = why_missed(planned.missed, planned.at, planned.now, newer)
        await asyncio.to_thread(self._write, planned, reason)
        return reason

    def _look(self, order: OpenOrder) -> _Planned | None:
        """None: not by a schedule, or it has begun before."""
        campaign = order.run.campaign
        at = planned_time(slot_of(order.workflow_id, campaign))
        if order.run.actor != SCHEDULE or at is None or campaign not in self._registry.campaigns:
            return None
        with transaction(self._engine) as session:
            if has_run(session, order.workflow_id):
                return None
            now = session.scalars(select(func.clock_timestamp())).one()
        schedule = self._registry[campaign].schedule
        return _Planned(campaign, at, now, schedule.missed if schedule else MissedRuns())

    def _write(self, planned: _Planned, reason: str | None) -> None:
        with transaction(self._engine) as session:
            if reason is None:
                forget_missed(session, planned.campaign, planned.at)
            else:
                note_missed(session, planned.campaign, planned.at, reason)
