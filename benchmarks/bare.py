"""The bare engine: workflows of the same shape, with activities that do nothing and no database.

The window of batches is kept as ours keeps it, so that both have as much under way: by counts in the worker's memory.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from activities import queues
    from activities.running import SOONEST_LOOK
    from benchmarks.hand_overs import HandOvers
    from domain.ids import message_workflow_id
    from workflows.workers import CHANNELS, channel_worker, core_worker

CHANNEL = CHANNELS[0]
TTL = timedelta(hours=1)
_STEP_TIMEOUT = timedelta(seconds=15)


class BareOrder(BaseModel):
    model_config = ConfigDict(frozen=True)

    run_id: UUID
    recipients: int
    batch_size: int
    batches_at_once: int


class BareBatchOrder(BaseModel):
    model_config = ConfigDict(frozen=True)

    run_id: UUID
    first: int
    last: int


class BareActivities:
    def __init__(self, hand_overs: HandOvers) -> None:
        self._hand_overs = hand_overs
        self._waiting = 0
        self._lock = threading.Lock()

    @activity.defn
    def count_waiting(self) -> int:
        """Messages whose batch was opened and that were not handed over yet."""
        return self._waiting

    @activity.defn
    def list_batch(self, order: BareBatchOrder) -> list[UUID]:
        ids = [uuid5(order.run_id, str(number)) for number in range(order.first, order.last)]
        with self._lock:
            self._waiting += len(ids)
        return ids

    @activity.defn
    def send(self, message_id: UUID) -> None:
        with self._lock:
            self._waiting -= 1
        self._hand_overs.tell(message_id)

    @property
    def of_core(self) -> Sequence[Callable[..., Any]]:
        return [self.count_waiting, self.list_batch]


@workflow.defn
class BareRun:
    def __init__(self) -> None:
        self._under_way = 0

    @workflow.run
    async def run(self, order: BareOrder) -> None:
        batches = []
        for first in range(0, order.recipients, order.batch_size):
            await self._room(order)
            batch = BareBatchOrder(
                run_id=order.run_id, first=first, last=min(first + order.batch_size, order.recipients)
            )
            self._under_way += 1
            batches.append(asyncio.create_task(self._carry_out(batch)))
        await asyncio.gather(*batches)

    async def _room(self, order: BareOrder) -> None:
        while True:
            await workflow.wait_condition(lambda: self._under_way < order.batches_at_once)
            waiting = await workflow.execute_activity_method(
                BareActivities.count_waiting, start_to_close_timeout=_STEP_TIMEOUT
            )
            if waiting < order.batch_size * order.batches_at_once:
                return
            await workflow.sleep(SOONEST_LOOK)

    async def _carry_out(self, order: BareBatchOrder) -> None:
        await workflow.execute_child_workflow(
            BareBatch.run,
            order,
            id=f"batch:{order.run_id}:{order.first}",
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )
        self._under_way -= 1


@workflow.defn
class BareBatch:
    @workflow.run
    async def run(self, order: BareBatchOrder) -> None:
        ids = await workflow.execute_activity_method(
            BareActivities.list_batch, order, start_to_close_timeout=_STEP_TIMEOUT
        )
        await asyncio.gather(*(self._start(message_id) for message_id in ids))

    async def _start(self, message_id: UUID) -> None:
        await workflow.start_child_workflow(
            BareDelivery.run,
            message_id,
            id=message_workflow_id(message_id),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )


@workflow.defn
class BareDelivery:
    def __init__(self) -> None:
        self._acknowledged = False

    @workflow.run
    async def run(self, message_id: UUID) -> None:
        await workflow.execute_activity_method(
            BareActivities.send,
            message_id,
            task_queue=queues.of_channel(workflow.info().task_queue, CHANNEL),
            start_to_close_timeout=_STEP_TIMEOUT,
        )
        await workflow.wait_condition(lambda: self._acknowledged, timeout=TTL)

    @workflow.signal
    def acknowledged(self) -> None:
        self._acknowledged = True


def build_bare_workers(client: Client, hand_overs: HandOvers, slots: int) -> list[Worker]:
    """With the settings of ours, queue for queue."""
    activities = BareActivities(hand_overs)
    core = core_worker(client, queues.CORE, (BareRun, BareBatch, BareDelivery), activities.of_core)
    return [core, *(channel_worker(client, queues.CORE, name, slots, activities.send) for name in CHANNELS)]
