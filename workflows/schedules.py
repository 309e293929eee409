"""The schedules that start runs, and the one that starts Sweep: made or brought up to date when a worker starts."""

from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.nudging import SWEEP_SCHEDULE
from activities.orders import RunOrder
from campaigns.campaign import Campaign
from campaigns.campaign import Schedule as Planned
from campaigns.registry import Registry
from domain.missed import LONGEST
from workflows.campaign_run import CampaignRun
from workflows.sweep import Sweep

SWEEP_EVERY = timedelta(minutes=1)


async def ensure_schedules(client: Client, registry: Registry, core_queue: str) -> None:
    """Safe to call from every worker. A schedule that somebody has paused stays paused."""
    await _ensure(client, SWEEP_SCHEDULE, _sweep(core_queue))
    for name, campaign in registry.campaigns.items():
        if campaign.schedule is None:
            await _remove(client, name)
        else:
            await _ensure(client, name, _runs(campaign, campaign.schedule, core_queue))


def _runs(campaign: Campaign[Any], planned: Planned, core_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            CampaignRun.run,
            RunOrder(campaign=campaign.name),
            id=f"run:{campaign.name}",  # the planned time is appended by Temporal: one run for each
            task_queue=core_queue,
            static_summary=f"{campaign.name}, by its schedule",
            static_details=campaign.purpose,
        ),
        spec=ScheduleSpec(cron_expressions=[planned.cron], time_zone_name=planned.zone),
        # Each planned time that was missed reaches `open_run`, which asks the campaign's policy and lists it.
        # People are protected by caps; a run that lasts into the next one's time is no reason to skip that.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL, catchup_window=LONGEST),
    )


def _sweep(core_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(Sweep.run, id="sweep", task_queue=core_queue),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=SWEEP_EVERY)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=SWEEP_EVERY),
    )


async def _ensure(client: Client, schedule_id: str, wanted: Schedule) -> None:
    def bring_up_to_date(found: ScheduleUpdateInput) -> ScheduleUpdate:
        wanted.state = found.description.schedule.state
        return ScheduleUpdate(schedule=wanted)

    try:
        await client.create_schedule(schedule_id, wanted)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(schedule_id).update(bring_up_to_date)


async def _remove(client: Client, schedule_id: str) -> None:
    """One that was made before the operator switched it off."""
    try:
        await client.get_schedule_handle(schedule_id).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
