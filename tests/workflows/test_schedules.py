"""The schedules that start runs and Sweep, on the real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import update
from temporalio.client import ScheduleHandle, ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.nudging import SWEEP_SCHEDULE, wake_sweep
from campaigns.campaign import Schedule
from campaigns.registry import Registry
from db.engine import transaction
from db.tables import Run, SweepCount
from domain.states import RunState
from tests.fakes import a_person, a_probe
from tests.stage import PATIENCE_SECONDS, Stage
from workflows.schedules import ensure_schedules

MONDAY_AT_NINE = Schedule("0 9 * * 1", "Europe/Oslo")


def planned(schedule: Schedule | None) -> Registry:
    return Registry({"probe": replace(a_probe(), schedule=schedule)})


@asynccontextmanager
async def scheduled(stage: Stage, schedule: Schedule | None = MONDAY_AT_NINE) -> AsyncIterator[ScheduleHandle]:
    """The schedules' names are the same for all tests on this server, so each test clears them away."""
    await ensure_schedules(stage.client, planned(schedule), stage.queue)
    try:
        yield stage.client.get_schedule_handle("probe")
    finally:
        for name in ("probe", SWEEP_SCHEDULE):
            try:
                await stage.client.get_schedule_handle(name).delete()
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise


def test_a_campaigns_schedule_has_its_zone_catches_up_all_of_a_month_and_lets_runs_overlap(stage: Stage) -> None:
    async def scenario() -> None:
        async with scheduled(stage) as handle:
            found = (await handle.describe()).schedule
            assert found.spec.time_zone_name == "Europe/Oslo"
            assert found.policy.catchup_window == timedelta(days=31)
            assert found.policy.overlap is ScheduleOverlapPolicy.ALLOW_ALL
            described = await handle.describe()
            local = [at.astimezone().utctimetuple() for at in described.info.next_action_times[:3]]
            assert {(at.tm_wday, at.tm_hour in {7, 8}) for at in local} == {(0, True)}

    asyncio.run(scenario())


def test_a_schedule_that_changed_is_brought_up_to_date_and_a_paused_one_stays_paused(stage: Stage) -> None:
    async def scenario() -> None:
        async with scheduled(stage) as handle:
            await handle.pause(note="on holiday")
            await ensure_schedules(stage.client, planned(replace(MONDAY_AT_NINE, zone="Asia/Tokyo")), stage.queue)
            found = (await handle.describe()).schedule
            assert found.spec.time_zone_name == "Asia/Tokyo"
            assert (found.state.paused, found.state.note) == (True, "on holiday")

    asyncio.run(scenario())


def test_several_workers_that_start_at_once_make_each_schedule_once(stage: Stage) -> None:
    async def scenario() -> None:
        async with scheduled(stage):
            await asyncio.gather(
                *(ensure_schedules(stage.client, planned(MONDAY_AT_NINE), stage.queue) for _ in range(4))
            )
            names = [each.id async for each in await stage.client.list_schedules()]
            assert len(names) == len(set(names))

    asyncio.run(scenario())


def test_a_trigger_starts_a_run_whose_name_ends_in_its_slot(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        async with stage.working(), scheduled(stage) as handle:
            stage.let_devices_acknowledge("fcm")
            await handle.trigger()
            await stage.until("there is a run", lambda: bool(stage.stored(Run)))
            [run] = stage.stored(Run)
            assert run.workflow_id == f"run:probe-{run.slot}"
            assert run.slot.endswith("Z")
            assert run.slot[:4].isdigit()
            await stage.closed(run.id)
            described = await stage.client.get_workflow_handle(run.workflow_id).describe()
            assert await described.static_summary() == "probe, by its schedule"

    asyncio.run(scenario())


def test_sweep_on_its_schedule_remembers_its_count_and_pauses_all_runs_of_a_restored_database(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        async with stage.working(), scheduled(stage, None):
            run_id = (await stage.start()).run_id
            await stage.all_are(run_id, state="sent")
            for count in (1, 2):
                await wake_sweep(stage.client)
                await stage.until(f"sweep {count} has ended", lambda count=count: counted(stage) >= count)  # type: ignore[misc] # the loop's own
                await sweep_remembers(stage, count)
            with transaction(stage.engine) as session:
                session.execute(update(SweepCount).values(count=0))
            await wake_sweep(stage.client)
            await stage.until("the run is paused", lambda: stage.run(run_id).state is RunState.PAUSED)
            assert stage.run(run_id).state_reason == "restored_database"

    asyncio.run(scenario())


def counted(stage: Stage) -> int:
    return max((row.count for row in stage.stored(SweepCount)), default=0)


async def sweep_remembers(stage: Stage, count: int) -> None:
    """The schedule has heard of that sweep's end: only then does the next one know its result."""
    handle = stage.client.get_schedule_handle(SWEEP_SCHEDULE)
    for _ in range(PATIENCE_SECONDS * 20):
        found = await handle.describe()
        if found.info.num_actions >= count and not found.info.running_actions:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the schedule never heard of sweep {count}")


def test_to_wake_a_sweep_that_was_never_scheduled_is_no_error(stage: Stage) -> None:
    asyncio.run(wake_sweep(stage.client))
