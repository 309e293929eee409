"""Missed runs on the real server: a schedule is asked for times that have passed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from temporalio.client import ScheduleBackfill, ScheduleHandle, ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.nudging import SWEEP_SCHEDULE
from activities.planned_times import ask_temporal
from campaigns.campaign import Schedule
from campaigns.registry import Registry
from db.tables import MissedRun, Run
from domain.ids import run_workflow_id
from domain.missed import missed_runs_of
from tests.fakes import a_person, a_probe
from tests.stage import Stage
from workflows.schedules import ensure_schedules


@asynccontextmanager
async def scheduled(stage: Stage, name: str, policy: str) -> AsyncIterator[ScheduleHandle]:
    """Every full hour. The campaign has a name of its own, since its schedule and its runs have it too."""
    campaign = replace(a_probe(), name=name, schedule=Schedule("0 * * * *", missed=missed_runs_of(policy)))
    stage.registry = Registry({name: campaign})
    stage.people.recipients = [a_person(0)]
    await ensure_schedules(stage.client, stage.registry, stage.queue)
    try:
        async with stage.working():
            yield stage.client.get_schedule_handle(name)
    finally:
        for schedule in (name, SWEEP_SCHEDULE):
            try:
                await stage.client.get_schedule_handle(schedule).delete()
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise


def last_hours(number: int) -> list[datetime]:
    """The newest first."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    # A minute after the full hour the newest would be on time still.
    newest = hour if datetime.now(UTC) - hour > timedelta(minutes=5) else hour - timedelta(hours=1)
    return [newest - timedelta(hours=each) for each in range(number)]


async def ask_again_for(stage: Stage, handle: ScheduleHandle, name: str, hours: list[datetime]) -> dict[datetime, str]:
    """What the runs of these times ended with, or what state they are in."""
    minute = timedelta(minutes=1)
    await handle.backfill(
        ScheduleBackfill(hours[-1] - minute, hours[0] + minute, overlap=ScheduleOverlapPolicy.ALLOW_ALL)
    )
    ids = {hour: run_workflow_id(name, f"{hour:%Y-%m-%dT%H:%M:%SZ}") for hour in hours}

    def decided() -> bool:
        return len(stage.stored(Run)) + len(stage.stored(MissedRun)) == len(hours)

    await stage.until("all are decided", decided)
    rows = {run.workflow_id for run in stage.stored(Run)}
    return {hour: "run" if workflow_id in rows else "missed" for hour, workflow_id in ids.items()}


def test_times_that_are_too_late_are_listed_and_the_others_run(stage: Stage) -> None:
    name = f"late-{uuid4().hex[:8]}"

    async def scenario() -> None:
        async with scheduled(stage, name, "late:150m") as handle:
            hours = last_hours(4)
            became = await ask_again_for(stage, handle, name, hours)
            assert [became[hour] for hour in hours] == ["run", "run", became[hours[2]], "missed"]
            [oldest] = [each for each in stage.stored(MissedRun) if each.planned_at == hours[3]]
            assert "more than the campaign allows (late:150m)" in oldest.reason
            ended = await stage.client.get_workflow_handle(
                run_workflow_id(name, f"{hours[3]:%Y-%m-%dT%H:%M:%SZ}")
            ).result()
            assert (ended["state"], ended["over"]) == ("missed", True)

    asyncio.run(scenario())


def test_once_means_the_newest_of_those_that_were_missed(stage: Stage) -> None:
    name = f"once-{uuid4().hex[:8]}"

    async def scenario() -> None:
        async with scheduled(stage, name, "once:1d") as handle:
            hours = last_hours(3)
            assert await ask_again_for(stage, handle, name, hours) == {
                hours[0]: "run",
                hours[1]: "missed",
                hours[2]: "missed",
            }
            reasons = {each.planned_at: each.reason for each in stage.stored(MissedRun)}
            assert (
                reasons[hours[2]]
                == f"{hours[0]:%Y-%m-%d %H:%M} UTC has come as well, and only the newest is run (once:1d)"
            )

    asyncio.run(scenario())


def test_a_trigger_by_hand_is_on_time_also_where_missed_runs_are_skipped(stage: Stage) -> None:
    name = f"skip-{uuid4().hex[:8]}"

    async def scenario() -> None:
        async with scheduled(stage, name, "skip") as handle:
            await handle.trigger()
            await stage.until("there is a run", lambda: bool(stage.stored(Run)))
            assert stage.stored(MissedRun) == []

    asyncio.run(scenario())


def test_a_schedule_that_is_gone_has_no_newer_time(stage: Stage) -> None:
    now = datetime.now(UTC)
    newest = asyncio.run(ask_temporal(stage.client)(f"gone-{uuid4().hex}", now - timedelta(hours=3), now))
    assert newest is None
