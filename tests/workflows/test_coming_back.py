"""Whatever is lost on the way, a nudge, a workflow, a worker: every message comes back and ends, without a double."""

import asyncio

from domain.ids import message_workflow_id
from tests.fakes import a_person
from tests.stage import Stage


def test_an_acknowledgement_whose_nudge_was_lost_is_found_at_the_deadline(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=2)).run_id
            await stage.all_are(run_id, state="sent")
            await stage.acknowledge(stage.attempts(run_id)[0].id, tell=False)
            [message] = stage.messages(run_id, state="delivered")
            assert await stage.told(message.id) == "delivered"
            assert not stage.channels["mqtt"].calls

    asyncio.run(scenario())


def test_a_terminated_delivery_comes_back_by_sweep_and_sends_nothing_twice(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(5)]

    async def scenario() -> None:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=3600)).run_id
            await stage.all_are(run_id, state="sent")
            for message in stage.messages(run_id):
                await stage.client.get_workflow_handle(message_workflow_id(message.id)).terminate("by mistake")
            stage.backdate(run_id)
            assert (await stage.sweep()).nudged == 5
            await stage.all_are(run_id, nudged_at=None)
            for attempt in stage.attempts(run_id):
                await stage.acknowledge(attempt.id)
            for message in stage.messages(run_id):
                assert await stage.told(message.id) == "delivered"
            assert len(stage.channels["fcm"].calls) == 5

    asyncio.run(scenario())


def test_deliveries_that_were_never_started_are_started_by_sweep(stage: Stage) -> None:
    """The batch wrote its messages down and died before it started a single workflow."""
    stage.people.recipients = [a_person(number) for number in range(5)]

    async def scenario() -> None:
        run_id = stage.batch_without_workflows()
        stage.backdate(run_id)
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            await stage.sweep()
            await stage.all_are(run_id, state="delivered")
            assert len(stage.channels["fcm"].calls) == 5

    asyncio.run(scenario())


def test_sweep_tells_a_workflow_that_waits_without_a_timer_that_its_message_has_ended(stage: Stage) -> None:
    """Held by a pause, then acknowledged, and the nudge was lost."""
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=1)).run_id
            await stage.all_are(run_id, state="sent")
            await stage.pause(run_id)
            await stage.all_are(run_id, hold_reason="paused")
            await stage.acknowledge(stage.attempts(run_id)[0].id, tell=False)
            stage.backdate(run_id)
            await stage.sweep()
            [message] = stage.messages(run_id)
            assert await stage.told(message.id) == "delivered"
            await stage.all_are(run_id, due_at=None, hold_reason=None)

    asyncio.run(scenario())


def test_sweep_forgets_an_ended_message_whose_workflow_is_gone(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        run_id = stage.batch_without_workflows()
        await stage.cancel(run_id)
        stage.backdate(run_id)
        async with stage.working():
            assert (await stage.sweep()).nudged == 1
            assert (await stage.sweep()).nudged == 0
        assert stage.messages(run_id)[0].due_at is None

    asyncio.run(scenario())


def test_a_worker_that_is_stopped_in_mid_run_records_its_sends_and_another_goes_on(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(30)]

    async def scenario() -> None:
        stage.channels["fcm"].slowness = 0.3
        async with stage.working():
            run_id = (await stage.start(batch_size=10)).run_id
            await stage.until("the first are being sent", lambda: len(stage.channels["fcm"].calls) >= 10)
        assert stage.messages(run_id, state="sending") == []
        assert len(stage.channels["fcm"].accepted) < 30
        async with stage.working():
            await stage.all_are(run_id, state="sent")
            for attempt in stage.attempts(run_id):
                await stage.acknowledge(attempt.id)
            await stage.closed(run_id)
        proof = stage.proof(run_id)
        assert (proof.balanced, proof.states) == (True, {"delivered": 30})
        assert sorted(message.dedupe_id for message, _ in stage.channels["fcm"].calls) == sorted(
            message.id for message in stage.messages(run_id)
        )

    asyncio.run(scenario())


def test_two_workers_at_once_send_nothing_twice(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(60)]

    async def scenario() -> None:
        async with stage.working(), stage.working(as_another_process=True):
            stage.let_devices_acknowledge("fcm", "mqtt", whom=lambda message: message.body[-1] in "02468")
            run_id = (await stage.start(ttl_seconds=1, batch_size=20)).run_id
            await stage.closed(run_id)
        proof = stage.proof(run_id)
        assert (proof.balanced, proof.states) == (True, {"delivered": 30, "expired": 30})
        for name, sent in (("fcm", 60), ("mqtt", 30)):
            ids = [message.dedupe_id for message, _ in stage.channels[name].calls]
            assert len(ids) == len(set(ids)) == sent

    asyncio.run(scenario())
