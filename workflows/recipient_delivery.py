"""One recipient, from planned to a known end. This loop stays as it is for months: change belongs in `advance`."""

from temporalio import workflow

from workflows.policies import ADVANCE

with workflow.unsafe.imports_passed_through():
    from activities import queues
    from activities.advance import Delivery
    from activities.orders import MessageOrder, NextStep, StepKind

UNKNOWN_KIND_SECONDS = 60.0


@workflow.defn
class RecipientDelivery:
    def __init__(self) -> None:
        self._settled: str | None = None
        self._look_again = False

    @workflow.run
    async def run(self, order: MessageOrder) -> str:
        while True:
            # Cleared before the database is asked: a wake-up while it answers must not be lost.
            self._look_again = False
            step = await self._advance(order)
            if step.kind == StepKind.DONE:
                return step.state or "done"
            order = order.model_copy(update={"channel": step.channel or order.channel})
            if step.kind != StepKind.SEND:
                await self._wait(step)
            if self._settled:
                return self._settled
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(order)

    @workflow.signal
    def acknowledged(self) -> None:
        self._settled = "delivered"

    @workflow.signal
    def clicked(self) -> None:
        self._settled = "delivered"

    @workflow.signal
    def look_again(self) -> None:
        self._look_again = True

    async def _advance(self, order: MessageOrder) -> NextStep:
        return await workflow.execute_activity_method(
            Delivery.advance,
            order,
            task_queue=queues.of_channel(workflow.info().task_queue, order.channel),
            summary=order.channel,
            **ADVANCE,
        )

    async def _wait(self, step: NextStep) -> None:
        seconds = step.seconds if step.kind == StepKind.WAIT else UNKNOWN_KIND_SECONDS
        workflow.set_current_details(f"waits: {step.reason or step.kind}")
        try:
            await workflow.wait_condition(
                lambda: self._look_again or self._settled is not None,
                timeout=seconds,
                timeout_summary=f"{step.reason or step.kind}, then {step.channel or 'the end'}",
            )
        except TimeoutError:
            return
