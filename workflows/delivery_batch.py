"""One page of a run's recipients: its texts are written, then its deliveries are started, all in one activation."""

import asyncio

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from workflows.policies import DATABASE_STEP
from workflows.recipient_delivery import RecipientDelivery

with workflow.unsafe.imports_passed_through():
    from activities.orders import BatchOrder, MessageOrder
    from activities.running import Running
    from domain.ids import message_workflow_id


@workflow.defn
class DeliveryBatch:
    @workflow.run
    async def run(self, order: BatchOrder) -> int:
        """How many deliveries stand started at its end; it never waits for one of them."""
        opened = await workflow.execute_activity_method(Running.open_batch, order, **DATABASE_STEP)
        await asyncio.gather(*(self._start(order, message) for message in opened.messages))
        return len(opened.messages)

    async def _start(self, order: BatchOrder, message: MessageOrder) -> None:
        try:
            await workflow.start_child_workflow(
                RecipientDelivery.run,
                message,
                id=message_workflow_id(message.message_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"{order.campaign}: one recipient, first by {message.channel}",
                static_details=f"run `{order.run_id}`, batch {order.number}, message `{message.message_id}`",
            )
        except WorkflowAlreadyStartedError:
            return  # an earlier try of this batch started it
