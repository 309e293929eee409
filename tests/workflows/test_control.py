"""Pause, resume, cancel and release of a run under way, over the row and as signals typed at Temporal."""

import asyncio
from collections.abc import Callable

import pytest

from db.tables import AuditEntry
from domain.states import RunState
from tests.fakes import a_person
from tests.stage import Stage
from workflows.campaign_run import CampaignRun


def test_who_is_held_by_a_pause_has_no_timer_and_goes_on_after_the_resume_when_sweep_calls(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(30)]

    async def scenario() -> None:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=6)).run_id
            await stage.all_are(run_id, state="sent")
            await stage.pause(run_id)
            await stage.all_are(run_id, hold_reason="paused", due_at=None)
            stage.let_devices_acknowledge("mqtt")
            assert not stage.channels["mqtt"].accepted
            assert (await stage.resume(run_id)).held == 30
            report = await stage.sweep()
            assert report.nudged == 30
            await stage.closed(run_id)
            assert stage.proof(run_id).states == {"delivered": 30}
            assert stage.proof(run_id).balanced
            assert len(stage.channels["mqtt"].accepted) == 30

    asyncio.run(scenario())


def test_sweep_wakes_the_held_in_pages(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.sweeping.PAGE", 10)
    stage.people.recipients = [a_person(number) for number in range(25)]

    async def scenario() -> None:
        async with stage.working():
            run_id = (await stage.start(batch_size=25, ttl_seconds=2)).run_id
            await stage.all_are(run_id, state="sent")
            await stage.pause(run_id)
            await stage.all_are(run_id, hold_reason="paused")
            await stage.resume(run_id)
            handle = await stage.start_sweep()
            assert (await handle.result()).nudged == 25
            pages = [event for event in await stage.history(handle.id) if is_activity(event, "nudge_page")]
            assert len(pages) == 3

    asyncio.run(scenario())


def is_activity(event: object, name: str) -> bool:
    scheduled = event.activity_task_scheduled_event_attributes  # type: ignore[attr-defined] # a HistoryEvent
    return bool(scheduled.activity_type.name == name)


def test_a_cancel_while_the_batches_start_sends_nothing_afterwards_and_accounts_for_all(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(60)]

    async def scenario() -> None:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=1, batch_size=5)).run_id
            await stage.until("the first are sent", lambda: len(stage.channels["fcm"].accepted) >= 5)
            cancelled = await stage.cancel(run_id)
            handed_over = len(stage.channels["fcm"].accepted)
            run = await stage.closed(run_id)
            assert run.state is RunState.CANCELLED
            assert (len(stage.channels["fcm"].accepted), len(stage.channels["mqtt"].accepted)) == (handed_over, 0)
            proof = stage.proof(run_id)
            assert (proof.balanced, proof.unfinished) == (True, 0)
            assert proof.states == {"withdrawn": 60 - handed_over, "expired": handed_over}
            assert cancelled.withdrawn == 60 - handed_over
            assert cancelled.withdrawn > 0

    asyncio.run(scenario())


def test_a_run_that_is_cancelled_before_its_audience_is_there_closes(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(5)]

    async def scenario() -> None:
        async with stage.working():
            stage.people.gate.clear()
            run_id = (await stage.start()).run_id
            await stage.until("the source is read", lambda: bool(stage.people.scans))
            await stage.cancel(run_id)
            stage.people.gate.set()
            assert (await stage.closed(run_id)).state is RunState.CANCELLED
            assert stage.proof(run_id).states == {"withdrawn": 5}
            assert not stage.channels["fcm"].calls

    asyncio.run(scenario())


def test_signals_typed_at_temporal_do_the_same_as_over_http(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        async with stage.working():
            started = await stage.start()
            run_id, handle = started.run_id, stage.client.get_workflow_handle(started.workflow_id)
            await stage.all_are(run_id, state="sent")
            await handle.signal("pause")
            await stage.until("it is paused", lambda: stage.run(run_id).state is RunState.PAUSED)
            assert stage.run(run_id).state_reason == "operator"
            await handle.signal("resume")
            await stage.until("it runs", lambda: stage.run(run_id).state is not RunState.PAUSED)
            await handle.signal("pause", "a typo in the text")
            await stage.until("it is paused again", lambda: stage.run(run_id).state is RunState.PAUSED)
            assert stage.run(run_id).state_reason == "a typo in the text"
            await handle.signal("cancel")
            await stage.until("it is cancelled", lambda: stage.run(run_id).state is RunState.CANCELLED)
            await stage.acknowledge(stage.attempts(run_id)[0].id)
            await stage.closed(run_id)
            said = [(entry.actor, entry.action) for entry in stage.stored(AuditEntry, run_id=run_id)]
            assert said == [
                ("test", "start"),
                ("temporal", "pause"),
                ("temporal", "resume"),
                ("temporal", "pause"),
                ("temporal", "cancel"),
            ]

    asyncio.run(scenario())


def test_a_signal_that_is_refused_does_not_end_the_run(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        async with stage.working():
            started = await stage.start()
            handle = stage.client.get_workflow_handle(started.workflow_id)
            await stage.all_are(started.run_id, state="sent")
            await handle.signal("resume")
            await handle.signal("pause")
            await stage.until("it is paused", lambda: stage.run(started.run_id).state is RunState.PAUSED)
            await handle.signal("resume")
            await stage.until("it goes on", lambda: stage.run(started.run_id).state is not RunState.PAUSED)
            await stage.acknowledge(stage.attempts(started.run_id)[0].id)
            assert (await handle.result())["state"] == "closed"

    asyncio.run(scenario())


def test_a_resume_typed_at_temporal_takes_a_clock_policy_and_refuses_a_word_that_is_none(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        async with stage.working():
            started = await stage.start(ttl_seconds=1)
            run_id, handle = started.run_id, stage.client.get_workflow_handle(started.workflow_id)
            await stage.all_are(run_id, state="sent")
            await handle.signal("pause")
            await stage.all_are(run_id, hold_reason="paused")
            await handle.signal("resume", "forget")
            await handle.signal("run_changed")
            await stage.until("the next signal is obeyed too", lambda: refused(stage, started.workflow_id))
            assert stage.run(run_id).state is RunState.PAUSED
            await handle.signal("resume", "expire_overdue")
            assert (await handle.result())["state"] == "closed"
            assert stage.proof(run_id).states == {"expired": 1}
            [entry] = stage.stored(AuditEntry, run_id=run_id, action="resume")
            assert (entry.actor, entry.details["policy"]) == ("temporal", "expire_overdue")
            assert not stage.channels["mqtt"].calls

    asyncio.run(scenario())


def refused(stage: Stage, workflow_id: str) -> bool:
    history = asyncio.run(stage.history(workflow_id))
    causes = [event.activity_task_failed_event_attributes.failure.cause for event in history]
    failures = [event.activity_task_failed_event_attributes.failure.message for event in history]
    return any("no clock policy 'forget'" in str(each) for each in [*causes, *failures])


def test_signals_that_come_together_are_obeyed_in_the_order_in_which_they_were_typed(stage: Stage) -> None:
    """They wait for a worker, and all arrive in one step of the workflow."""
    stage.people.recipients = [a_person(0)]
    typed = ["pause", "resume"] * 3

    async def scenario() -> None:
        async with stage.working():
            started = await stage.start()
            await stage.all_are(started.run_id, state="sent")
        handle = stage.client.get_workflow_handle(started.workflow_id)
        for action in typed:
            await handle.signal(action)
        async with stage.working():
            await stage.until("all are obeyed", lambda: len(stage.stored(AuditEntry, actor="temporal")) == len(typed))
            entries = sorted(stage.stored(AuditEntry, actor="temporal"), key=lambda entry: entry.id)
            assert [entry.action for entry in entries] == typed

    asyncio.run(scenario())


def test_progress_can_be_asked_of_the_run_itself(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(3)]

    async def scenario() -> None:
        async with stage.working():
            started = await stage.start()
            handle = stage.client.get_workflow_handle(started.workflow_id)
            await stage.all_are(started.run_id, state="sent")
            await handle.signal(CampaignRun.run_changed)
            survey = await handle.query(CampaignRun.progress)
            while survey is None or survey.state != "completed":
                await handle.signal(CampaignRun.run_changed)
                survey = await handle.query(CampaignRun.progress)
            assert (survey.state, survey.targeted, survey.awaiting, survey.handed_over) == ("completed", 3, 3, 3)
            assert survey.attempts == {"fcm": {"sent": 3}}
            described = await handle.describe()
            assert await described.static_summary() == "probe, started by test"

    asyncio.run(scenario())


@pytest.mark.parametrize("batch_size", [2, 100])
def test_what_is_beyond_the_limit_is_held_until_it_is_released(stage: Stage, batch_size: int) -> None:
    stage.people.recipients = [a_person(number) for number in range(9)]

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            run_id = (await stage.start(limit=3, batch_size=batch_size)).run_id
            await stage.until("three are delivered", count_is(stage, run_id, 3))
            run = stage.run(run_id)
            assert (run.released_up_to, run.closed_at) == (3, None)
            await stage.release(run_id, 5)
            await stage.until("five are delivered", count_is(stage, run_id, 5))
            await stage.release(run_id, None)
            await stage.closed(run_id)
            assert stage.proof(run_id).states == {"delivered": 9}
            assert len(stage.channels["fcm"].calls) == 9

    asyncio.run(scenario())


def count_is(stage: Stage, run_id: object, count: int) -> Callable[[], bool]:
    return lambda: len(stage.channels["fcm"].calls) == count
