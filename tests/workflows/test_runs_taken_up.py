"""A run always has somebody who looks after it, and one person's mishap is not everybody's."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import update

from campaigns.registry import Registry
from db.engine import transaction
from db.tables import Run
from domain.message import Message, Recipient
from tests.fakes import ProbeParameters, a_person, a_probe
from tests.stage import Stage


def an_hour_old(stage: Stage, run_id: UUID) -> None:
    with transaction(stage.engine) as session:
        session.execute(update(Run).where(Run.id == run_id).values(created_at=datetime.now(UTC) - timedelta(hours=1)))


def test_a_run_whose_workflow_was_terminated_is_taken_up_by_sweep_and_ends(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(4)]

    async def scenario() -> None:
        async with stage.working():
            started = await stage.start(ttl_seconds=3600)
            await stage.all_are(started.run_id, state="sent")
            await stage.client.get_workflow_handle(started.workflow_id).terminate("by mistake")
            an_hour_old(stage, started.run_id)
            await stage.sweep()
            for attempt in stage.attempts(started.run_id):
                await stage.acknowledge(attempt.id)
            await stage.closed(started.run_id)
            assert stage.proof(started.run_id).balanced
            assert len(stage.channels["fcm"].calls) == 4
            assert len(stage.people.scans) == 1

    asyncio.run(scenario())


def test_a_text_that_cannot_be_written_holds_up_nobody_else(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(5)]

    def message(recipient: Recipient, _: ProbeParameters) -> Message:
        if recipient.id.endswith("3"):
            raise KeyError("name")
        return Message("Probe", "written")

    stage.registry = Registry({"probe": replace(a_probe(), message=message)})

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            started = await stage.start()
            await stage.closed(started.run_id)
            assert stage.proof(started.run_id).balanced
            assert stage.progress(started.run_id).states == {"delivered": 4, "suppressed": 1}
            [unwritten] = stage.messages(started.run_id, state="suppressed")
            assert unwritten.state_reason == "text_failed"

    asyncio.run(scenario())


def test_a_campaign_without_a_channel_that_is_on_fails_and_says_so(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]
    stage.channels = {}

    async def scenario() -> None:
        async with stage.working():
            started = await stage.start()
            run = await stage.closed(started.run_id)
            assert run.state == "failed"
            assert run.state_reason
            assert "no channel of this campaign is on (fcm, mqtt)" in run.state_reason

    asyncio.run(scenario())


def test_a_run_can_be_paused_before_any_worker_has_begun_it(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(3)]

    async def scenario() -> None:
        started = await stage.start(ttl_seconds=1)
        assert stage.run(started.run_id).state == "scheduled"
        await stage.pause(started.run_id)
        async with stage.working():
            await stage.until("its audience is taken", lambda: stage.run(started.run_id).targeted == 3)
            assert not stage.channels["fcm"].calls
            await stage.resume(started.run_id)
            await stage.closed(started.run_id)
        assert len(stage.channels["fcm"].calls) == 3
        assert stage.proof(started.run_id).balanced

    asyncio.run(scenario())


def test_a_run_that_was_cancelled_before_any_worker_has_begun_it_reads_nothing_and_sends_nothing(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(3)]

    async def scenario() -> None:
        started = await stage.start()
        await stage.cancel(started.run_id)
        async with stage.working():
            run = await stage.closed(started.run_id)
        assert (run.state, run.targeted) == ("cancelled", 0)
        assert not stage.people.scans
        assert not stage.channels["fcm"].calls
        assert stage.proof(started.run_id).balanced

    asyncio.run(scenario())


def test_a_slot_that_temporal_has_forgotten_is_still_the_same_run(stage: Stage) -> None:
    async def scenario() -> None:
        first = await stage.start(key="november")
        await stage.client.get_workflow_handle(first.workflow_id).terminate()
        again = await stage.start(key="november")
        assert (again.already, again.run_id) == (True, first.run_id)

    asyncio.run(scenario())


def test_a_plan_that_is_measured_by_a_campaign_that_cannot_read_again_fails_and_says_what_to_do(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]
    stage.registry = Registry({"probe": replace(a_probe(), read_again=None)})

    async def scenario() -> None:
        async with stage.working():
            started = await stage.start(measured_for_seconds=60)
            run = await stage.closed(started.run_id)
            assert run.state == "failed"
            assert run.state_reason
            assert "give it `read_again`, or leave `measured_for_seconds` out" in run.state_reason

    asyncio.run(scenario())
