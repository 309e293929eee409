"""Launching with care on the real engine."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

from channels.interface import AddressRejectedError, Outgoing
from db.tables import AuditEntry
from domain.house_rules import HouseRules
from domain.launching import LaunchOrder
from domain.plan import Halt, Launch
from domain.states import RunState
from tests.db.scene import Scene
from tests.fakes import a_person
from tests.stage import Stage


def careful(launch: Launch | None = None, halt: Halt | None = None) -> HouseRules:
    return HouseRules(quiet_hours=None, launch=launch or Launch(), halt=halt or Halt())


def refuse_every_second(stage: Stage) -> None:
    """Half of all are refused for good on every rung."""
    lock, seen = threading.Lock(), [0]

    def behave(_: Outgoing, __: str) -> None:
        with lock:
            seen[0] += 1
            odd = seen[0] % 2
        if odd:
            raise AddressRejectedError("unregistered", "not registered any more")

    stage.channels["fcm"].behave = behave


def paused(stage: Stage, run_id: UUID) -> bool:
    return stage.has_run(run_id) and stage.run(run_id).state is RunState.PAUSED


def actions(stage: Stage, run_id: UUID) -> list[tuple[str, str]]:
    rows = sorted(stage.stored(AuditEntry, run_id=run_id), key=lambda entry: entry.id)
    return [(entry.actor, entry.action) for entry in rows]


def test_a_provider_that_refuses_half_halts_the_run_well_before_its_end_and_a_resume_goes_on(stage: Stage) -> None:
    stage.people.recipients = [a_person(number, device=False) for number in range(200)]
    stage.house_rules = careful(halt=Halt(failure_percent=20, after=20))
    refuse_every_second(stage)

    async def scenario() -> None:
        async with stage.working():
            run_id = (await stage.start(batch_size=25)).run_id
            await stage.until("the run is halted", lambda: paused(stage, run_id))
            reason = stage.run(run_id).state_reason or ""
            assert reason.startswith("halted: ")
            assert reason.endswith("tried have failed, more than 20 % (HALT_FAILURE_PERCENT)")
            assert len(stage.channels["fcm"].calls) < 130
            stage.channels["fcm"].behave = lambda _, __: None
            await stage.resume(run_id)
            await stage.sweep()
            await stage.until("all were tried", lambda: stage.progress(run_id).states.get("planned", 0) == 0)
            states = stage.progress(run_id).states
            assert states["sent"] + states["failed"] == 200
            assert states["failed"] < 65
            assert stage.proof(run_id).balanced
            assert actions(stage, run_id)[1:] == [("drumbeat", "pause"), ("test", "resume")]

    asyncio.run(scenario())


def test_a_canary_goes_first_and_then_all_the_others_by_themselves(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(30)]
    stage.house_rules = careful(Launch(canary_percent=10, canary_watch_seconds=3))

    async def scenario() -> None:
        stage.let_devices_acknowledge("fcm")
        async with stage.working():
            run_id = (await stage.start()).run_id
            await stage.until(
                "the canary is settled",
                lambda: stage.has_run(run_id) and stage.run(run_id).canary_settled_at is not None,
            )
            assert len(stage.channels["fcm"].calls) == 3
            run = await stage.closed(run_id)
            assert run.released_up_to is None
            assert stage.progress(run_id).states == {"delivered": 30}
            begun = sorted(at for _, __, at in stage.channels["fcm"].accepted)
            assert run.canary_settled_at is not None
            assert (begun[3] - run.canary_settled_at).total_seconds() >= 3
            assert actions(stage, run_id)[1:] == [("drumbeat", "release")]

    asyncio.run(scenario())


def test_an_undo_window_that_was_asked_for_ends_by_itself(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        stage.let_devices_acknowledge("fcm")
        async with stage.working():
            run_id = (await stage.start(launch=LaunchOrder(undo_seconds=3))).run_id
            await stage.until("it waits", lambda: paused(stage, run_id))
            resumes_at = stage.run(run_id).resumes_at
            assert resumes_at is not None
            assert stage.channels["fcm"].calls == []
            run = await stage.closed(run_id)
            assert stage.channels["fcm"].accepted[0][2] >= resumes_at
            assert run.paused_total.total_seconds() >= 3

    asyncio.run(scenario())


def test_a_cancel_in_the_undo_window_withdraws_everybody_and_nothing_was_sent(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(3)]
    stage.house_rules = careful(Launch(undo_seconds=3600))

    async def scenario() -> None:
        async with stage.working():
            started = await stage.start()
            await stage.until("it waits", lambda: paused(stage, started.run_id))
            await stage.client.get_workflow_handle(started.workflow_id).signal("cancel")
            await stage.closed(started.run_id)
            assert stage.progress(started.run_id).states == {"withdrawn": 3}
            assert stage.attempts(started.run_id) == []
            assert stage.proof(started.run_id).balanced

    asyncio.run(scenario())


def test_temporals_own_resume_does_not_stand_in_for_an_approval(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]
    stage.house_rules = careful(Launch(approval_above=0))

    async def scenario() -> None:
        stage.let_devices_acknowledge("fcm")
        async with stage.working():
            started = await stage.start()
            handle = stage.client.get_workflow_handle(started.workflow_id)
            await stage.until("it waits", lambda: paused(stage, started.run_id))
            await handle.signal("resume")
            await handle.signal("pause")  # taken after the resume: when it is written down, that was refused
            await stage.until("it is paused by hand", lambda: stage.run(started.run_id).state_reason == "operator")
            assert stage.channels["fcm"].calls == []
            assert (await stage.approve(started.run_id)).waits_for is not None
            await handle.signal("resume")
            await stage.closed(started.run_id)
            assert [each.actor for each in stage.stored(AuditEntry, action="approve")] == ["second"]

    asyncio.run(scenario())


def test_an_undo_window_whose_workflow_is_gone_is_ended_by_the_one_that_sweep_starts(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]
    stage.house_rules = careful(Launch(undo_seconds=5))

    async def scenario() -> None:
        stage.let_devices_acknowledge("fcm")
        async with stage.working():
            started = await stage.start()
            await stage.until("it waits", lambda: paused(stage, started.run_id))
            await stage.client.get_workflow_handle(started.workflow_id).terminate()
            Scene(stage.engine).set(started.run_id, created_at=datetime.now(UTC) - timedelta(minutes=2))
            await stage.sweep()
            await stage.closed(started.run_id)
            assert stage.progress(started.run_id).states == {"delivered": 1}
            assert actions(stage, started.run_id)[1:] == [("drumbeat", "resume")]

    asyncio.run(scenario())


def test_what_was_asked_for_at_the_start_holds_where_sweep_begins_the_run(stage: Stage) -> None:
    """The workflow is lost before any worker has begun it: only the row knows what was asked for."""
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        started = await stage.start(launch=LaunchOrder(undo_seconds=3600))
        await stage.client.get_workflow_handle(started.workflow_id).terminate()
        Scene(stage.engine).set(started.run_id, created_at=datetime.now(UTC) - timedelta(minutes=2))
        async with stage.working():
            await stage.sweep()
            await stage.until("it waits", lambda: paused(stage, started.run_id))
            assert stage.run(started.run_id).started_by == "test"
            assert stage.channels["fcm"].calls == []
            await stage.cancel(started.run_id)

    asyncio.run(scenario())
