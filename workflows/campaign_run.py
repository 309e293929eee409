"""One run of a campaign: who is targeted, then batch after batch, then watching until nobody is waited for."""

import asyncio
from uuid import UUID

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

from workflows.delivery_batch import DeliveryBatch
from workflows.policies import CONTROL, DATABASE_STEP, SNAPSHOT
from workflows.run_measurement import RunMeasurement

with workflow.unsafe.imports_passed_through():
    from activities.audience import AudienceSnapshot
    from activities.opening import Opening
    from activities.orders import (
        BatchOrder,
        ControlOrder,
        MeasureOrder,
        OpenedRun,
        OpenOrder,
        RunOrder,
        Survey,
        SurveyOrder,
    )
    from activities.running import Running
    from activities.sweeping import Sweeping
    from domain.ids import batch_workflow_id, measurement_workflow_id, run_id_of
    from domain.progress_table import progress_table


@workflow.defn
class CampaignRun:
    def __init__(self) -> None:
        self._changed = False
        self._opened = False
        self._changing = asyncio.Lock()
        self._batches: dict[int, asyncio.Task[int]] = {}
        self._survey: Survey | None = None

    @workflow.run
    async def run(self, order: RunOrder) -> Survey:
        try:
            survey = await self._carry_out(order)
        except BaseException as error:
            if not is_cancelled_exception(error):
                raise
            # Temporal's own "Request Cancellation": it means what `cancel` means, and the run is watched to its end.
            await self._change("cancel")
            survey = await self._carry_out(order)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return survey

    @workflow.signal
    def run_changed(self) -> None:
        self._changed = True

    @workflow.signal
    async def pause(self, reason: str = "operator") -> None:
        await self._change("pause", reason)

    @workflow.signal
    async def resume(self, policy: str = "shift") -> None:
        await self._change("resume", policy=policy)

    @workflow.signal
    async def cancel(self) -> None:
        await self._change("cancel")

    @workflow.query
    def progress(self) -> Survey | None:
        """The last survey: states, held, attempts by channel."""
        return self._survey

    async def _carry_out(self, order: RunOrder) -> Survey:
        run = await self._open(order)
        if run.missed is not None:
            workflow.set_current_details(f"**missed**: {run.missed}")
            return Survey(state="missed", over=True)
        await self._take_audience(run)
        if run.measured:
            await self._start_measurement(order, run)
        return await self._send_and_watch(order, run)

    async def _open(self, order: RunOrder) -> OpenedRun:
        opening = OpenOrder(workflow_id=workflow.info().workflow_id, run=order)
        run = await workflow.execute_activity_method(Opening.open_run, opening, **DATABASE_STEP)
        self._opened = True
        return run

    async def _take_audience(self, run: OpenedRun) -> None:
        if workflow.info().continued_run_id:
            return
        try:
            await workflow.execute_activity_method(
                AudienceSnapshot.take_audience_snapshot, run.run_id, summary="audience", **SNAPSHOT
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            reason = str(error.cause or error)
            await workflow.execute_activity_method(
                Opening.fail_run, args=[workflow.info().workflow_id, reason], **DATABASE_STEP
            )
            raise ApplicationError(f"the audience could not be taken: {reason}", non_retryable=True) from error

    async def _start_measurement(self, order: RunOrder, run: OpenedRun) -> None:
        try:
            await workflow.start_child_workflow(
                RunMeasurement.run,
                MeasureOrder(run_id=run.run_id, campaign=order.campaign),
                id=measurement_workflow_id(run.run_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"{order.campaign}: outcomes",
                static_details=f"run `{run.run_id}`",
            )
        except WorkflowAlreadyStartedError:
            return  # before this was continued as new, or by Sweep

    async def _send_and_watch(self, order: RunOrder, run: OpenedRun) -> Survey:
        while True:
            # Cleared before the survey: a change while it looks must not be lost.
            self._changed = False
            room = len(self._batches) < run.batches_at_once
            survey = await self._look(run.run_id, may_open=room)
            if survey.over:
                return survey
            if survey.next_batch is not None:
                self._start_batch(BatchOrder(run_id=run.run_id, campaign=order.campaign, number=survey.next_batch))
            if survey.next_batch is None:
                await self._wait(survey.look_again_seconds)
            if workflow.info().is_continue_as_new_suggested():
                await self._continue_as_new(order)

    async def _look(self, run_id: UUID, *, may_open: bool) -> Survey:
        asked = SurveyOrder(run_id=run_id, batches_under_way=sorted(self._batches), may_open=may_open)
        self._survey = await workflow.execute_activity_method(Running.survey_run, asked, **DATABASE_STEP)
        workflow.set_current_details(progress_table(self._survey.state, self._survey.states, self._survey.held))
        return self._survey

    def _start_batch(self, batch: BatchOrder) -> None:
        async def carry_out() -> int:
            try:
                return await workflow.execute_child_workflow(
                    DeliveryBatch.run,
                    batch,
                    id=batch_workflow_id(batch.run_id, batch.number),
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                    static_summary=f"{batch.campaign}: batch {batch.number}",
                    static_details=f"run `{batch.run_id}`",
                )
            finally:
                del self._batches[batch.number]
                self._changed = True

        self._batches[batch.number] = asyncio.create_task(carry_out())

    async def _wait(self, seconds: float) -> None:
        try:
            await workflow.wait_condition(lambda: self._changed, timeout=seconds, timeout_summary="look again")
        except TimeoutError:
            return

    async def _continue_as_new(self, order: RunOrder) -> None:
        """The live batches first: they end as soon as their deliveries are started."""
        await asyncio.gather(*self._batches.values(), return_exceptions=True)
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(order)

    async def _change(self, action: str, reason: str | None = None, policy: str = "shift") -> None:
        await workflow.wait_condition(lambda: self._opened)
        run_id = run_id_of(workflow.info().workflow_id)
        change = ControlOrder(run_id=run_id, action=action, reason=reason, policy=policy)
        # One after the other, in the order in which they were typed: a resume must not overtake its pause.
        async with self._changing:
            try:
                await workflow.execute_activity_method(Running.change_run, change, **CONTROL)
                if action != "pause":
                    await workflow.execute_activity_method(Sweeping.wake_sweep, **CONTROL)
            except ActivityError as error:
                # A refusal (resume of a run that is not paused) must not end the run that it was typed at.
                workflow.logger.warning("cannot %s: %s", action, error.cause or error)
        self._changed = True
