"""What one recipient costs in events. Temporal's price and limits are counted in them, so each has its budget."""

import asyncio
from uuid import UUID

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from channels.interface import Outgoing, ProviderBusyError
from domain.ids import batch_workflow_id, message_id_of, message_workflow_id
from tests.fakes import a_person
from tests.stage import Stage

ACKNOWLEDGED, EXPIRED, FALLBACK_ACKNOWLEDGED, BOTH_EXPIRED = 17, 23, 29, 34
A_DEFERRAL = 12
OF_PARENT, OF_THE_BATCH_ITSELF = 3, 8

PERSON = "person-0000"


async def events_of_message(stage: Stage, run_id: UUID) -> int:
    message_id = message_id_of(run_id, PERSON)
    await stage.told(message_id)
    return len(await stage.history(message_workflow_id(message_id)))


async def acknowledge_when_recorded(stage: Stage, run_id: UUID, channel: str) -> None:
    """After the send's record, which costs more than an acknowledgement that overtakes it."""
    await stage.all_are(run_id, state="sent", hold_reason=None)
    await stage.until(f"{channel} has sent it", lambda: [a.channel for a in stage.attempts(run_id)][-1:] == [channel])
    await stage.until("it is recorded", lambda: stage.attempts(run_id)[-1].state == "sent")
    await stage.acknowledge(stage.attempts(run_id)[-1].id)


def test_an_acknowledged_message_costs_17_events_at_most(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> int:
        async with stage.working():
            run_id = (await stage.start()).run_id
            await acknowledge_when_recorded(stage, run_id, "fcm")
            return await events_of_message(stage, run_id)

    assert asyncio.run(scenario()) <= ACKNOWLEDGED


def test_a_message_with_one_rung_that_expires_costs_23_events_at_most(stage: Stage) -> None:
    stage.people.recipients = [a_person(0, channels=("fcm",))]

    async def scenario() -> int:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=1)).run_id
            events = await events_of_message(stage, run_id)
            assert [message.state for message in stage.messages(run_id)] == ["expired"]
            return events

    assert asyncio.run(scenario()) <= EXPIRED


def test_a_fallback_that_is_acknowledged_costs_29_events_at_most(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> int:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=2)).run_id
            await acknowledge_when_recorded(stage, run_id, "mqtt")
            events = await events_of_message(stage, run_id)
            assert [message.state for message in stage.messages(run_id)] == ["delivered"]
            return events

    assert asyncio.run(scenario()) <= FALLBACK_ACKNOWLEDGED


def test_two_rungs_that_both_expire_cost_34_events_at_most(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> int:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=1)).run_id
            events = await events_of_message(stage, run_id)
            assert [attempt.state for attempt in stage.attempts(run_id)] == ["expired", "expired"]
            return events

    assert asyncio.run(scenario()) <= BOTH_EXPIRED


def test_a_pause_costs_12_events_more_at_most(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> int:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=2)).run_id
            await stage.all_are(run_id, state="sent")
            before = stage.messages(run_id)[0].due_at
            await stage.pause(run_id)
            await stage.resume(run_id)
            await stage.until(
                "it has looked at its shifted deadline", lambda: stage.messages(run_id)[0].due_at != before
            )
            await stage.acknowledge(stage.attempts(run_id)[0].id)
            return await events_of_message(stage, run_id)

    assert asyncio.run(scenario()) <= ACKNOWLEDGED + A_DEFERRAL


def test_a_pause_that_outlasts_the_deadline_costs_two_deferrals_at_most(stage: Stage) -> None:
    """It is woken twice: by its own timer, which finds the pause, and by Sweep after it."""
    stage.people.recipients = [a_person(0)]

    async def scenario() -> int:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=2)).run_id
            await stage.all_are(run_id, state="sent")
            await stage.pause(run_id)
            await stage.all_are(run_id, hold_reason="paused")
            await stage.resume(run_id)
            await stage.sweep()
            await stage.all_are(run_id, hold_reason=None)
            await stage.acknowledge(stage.attempts(run_id)[0].id)
            return await events_of_message(stage, run_id)

    assert asyncio.run(scenario()) <= ACKNOWLEDGED + 2 * A_DEFERRAL


def test_a_deferral_by_a_busy_provider_costs_12_events_more_at_most(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]
    busy = [ProviderBusyError("QUOTA", "try again later", retry_after=0.5)]

    def refuse_once(_: Outgoing, __: str) -> None:
        if busy:
            raise busy.pop()

    stage.channels["fcm"].behave = refuse_once

    async def scenario() -> int:
        async with stage.working():
            run_id = (await stage.start()).run_id
            await acknowledge_when_recorded(stage, run_id, "fcm")
            assert [attempt.state for attempt in stage.attempts(run_id)] == ["failed", "delivered"]
            return await events_of_message(stage, run_id)

    assert asyncio.run(scenario()) <= ACKNOWLEDGED + A_DEFERRAL


def test_a_batch_costs_2_events_a_recipient_and_its_own_workflow_tasks(stage: Stage) -> None:
    """Initiated and started, and completed where that comes before the batch's end. How many starts one workflow task
    takes up is the machine's speed: in quiet all in some ten tasks (3.4 events a recipient), at worst one each.
    """
    stage.people.recipients = [a_person(number) for number in range(40)]

    async def scenario() -> list[HistoryEvent]:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            run_id = (await stage.start()).run_id
            await stage.closed(run_id)
            return await stage.history(batch_workflow_id(run_id, 1))

    events = asyncio.run(scenario())
    of_tasks = [event for event in events if "WORKFLOW_TASK" in EventType.Name(event.event_type)]
    assert len(events) - len(of_tasks) <= OF_PARENT * 40 + OF_THE_BATCH_ITSELF
    assert len(of_tasks) <= 3 * (40 + 3)
