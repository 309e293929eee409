"""The recipient's loop alone, on an `advance` that answers as a test tells it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities import queues
from activities.orders import MessageOrder, NextStep
from domain.ids import message_workflow_id
from tests.stage import PATIENCE_SECONDS
from workflows.recipient_delivery import RecipientDelivery

Loop = WorkflowHandle[RecipientDelivery, str]
DONE = NextStep(kind="done", state="delivered")
HELD = NextStep(kind="wait", channel="fcm", seconds=None, reason="paused")


class Script:
    """What `advance` answers, one after the other."""

    def __init__(self, *steps: NextStep) -> None:
        self.steps = list(steps)
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()

    @activity.defn
    async def advance(self, order: MessageOrder) -> NextStep:
        self.asked.append(order.channel)
        self.was_asked.set()
        return self.steps.pop(0)


class WokenMeanwhile(Script):
    """A wake-up arrives between the commit and the answer of the first look."""

    def __init__(self, client: Client, *steps: NextStep) -> None:
        super().__init__(*steps)
        self._client = client

    @activity.defn
    async def advance(self, order: MessageOrder) -> NextStep:
        if not self.asked:
            await self._client.get_workflow_handle(message_workflow_id(order.message_id)).signal("look_again")
        self.asked.append(order.channel)
        return self.steps.pop(0)


@asynccontextmanager
async def looping(client: Client, script: Script) -> AsyncIterator[Loop]:
    core = f"loop-{uuid4().hex[:8]}"
    message_id = uuid4()
    runner = UnsandboxedWorkflowRunner()
    async with (
        Worker(client, task_queue=core, workflows=[RecipientDelivery], workflow_runner=runner),
        Worker(client, task_queue=queues.of_channel(core, "fcm"), activities=[script.advance]),
        Worker(client, task_queue=queues.of_channel(core, "mqtt"), activities=[script.advance]),
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        yield await client.start_workflow(
            RecipientDelivery.run,
            MessageOrder(message_id=message_id, channel="fcm"),
            id=message_workflow_id(message_id),
            task_queue=core,
        )


async def first_timer(handle: Loop) -> int:
    """As soon as there is one."""
    for _ in range(PATIENCE_SECONDS * 20):
        if found := await timers(handle):
            return found[0]
        await asyncio.sleep(0.05)
    raise AssertionError("no timer was ever started")


async def timers(handle: Loop) -> list[int]:
    """Seconds of the timers that were started."""
    return [
        event.timer_started_event_attributes.start_to_fire_timeout.seconds
        for event in (await handle.fetch_history()).events
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED
    ]


def test_a_wake_up_while_the_database_is_asked_is_not_lost(temporal_client: Client) -> None:
    """The flag is cleared before `advance` is scheduled; cleared after it, this message would be held for ever."""
    script = WokenMeanwhile(temporal_client, HELD, DONE)

    async def scenario() -> None:
        async with looping(temporal_client, script) as loop:
            assert await loop.result() == "delivered"

    asyncio.run(scenario())
    assert len(script.asked) == 2


def test_held_without_a_known_end_sets_no_timer_and_a_wake_up_looks_again(temporal_client: Client) -> None:
    script = Script(HELD, DONE)

    async def scenario() -> None:
        async with looping(temporal_client, script) as loop:
            await script.was_asked.wait()
            await loop.signal(RecipientDelivery.look_again)
            assert await loop.result() == "delivered"
            assert await timers(loop) == []

    asyncio.run(scenario())


def test_a_kind_that_an_old_loop_does_not_know_means_ask_again_in_60_seconds(temporal_client: Client) -> None:
    script = Script(NextStep(kind="hold_for_approval", seconds=5), DONE)

    async def scenario() -> None:
        async with looping(temporal_client, script) as loop:
            await script.was_asked.wait()
            assert await first_timer(loop) == 60
            await loop.signal(RecipientDelivery.look_again)
            assert await loop.result() == "delivered"

    asyncio.run(scenario())


def test_another_channel_is_asked_at_once_and_on_its_own_queue(temporal_client: Client) -> None:
    script = Script(NextStep(kind="send", channel="mqtt"), DONE)

    async def scenario() -> None:
        async with looping(temporal_client, script) as loop:
            assert await loop.result() == "delivered"
            assert await timers(loop) == []

    asyncio.run(scenario())
    assert script.asked == ["fcm", "mqtt"]


def test_an_acknowledgement_ends_the_wait_without_asking_again(temporal_client: Client) -> None:
    script = Script(NextStep(kind="wait", channel="fcm", seconds=3600, reason="awaiting"))

    async def scenario() -> None:
        async with looping(temporal_client, script) as loop:
            await script.was_asked.wait()
            await loop.signal(RecipientDelivery.acknowledged)
            assert await loop.result() == "delivered"

    asyncio.run(scenario())
    assert len(script.asked) == 1


def test_a_message_that_was_erased_ends_its_loop(temporal_client: Client) -> None:
    script = Script(NextStep(kind="done", state="erased"))

    async def scenario() -> None:
        async with looping(temporal_client, script) as loop:
            assert await loop.result() == "erased"

    asyncio.run(scenario())


def test_a_result_from_a_later_version_with_more_fields_is_read_all_the_same() -> None:
    step = NextStep.model_validate({"kind": "done", "state": "delivered", "a_field_of_next_year": {"x": 1}})
    assert step == DONE
