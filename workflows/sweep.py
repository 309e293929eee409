"""The safety net, every minute: calls whoever waits for nothing, and notices a database that was restored."""

from datetime import timedelta

from temporalio import workflow

from workflows.policies import DATABASE_STEP

with workflow.unsafe.imports_passed_through():
    from activities.orders import OverduePage, SweepOrder, SweepReport
    from activities.sweeping import Sweeping

PAGES_AT_MOST = 100
LOOKS_AT_A_PAGE = 10


@workflow.defn
class Sweep:
    @workflow.run
    async def run(self) -> SweepReport:
        remembered = workflow.get_last_completion_result(SweepReport) if workflow.has_last_completion_result() else None
        order = SweepOrder(remembered=remembered.count if remembered else None)
        report = await workflow.execute_activity_method(Sweeping.count_sweep, order, **DATABASE_STEP)
        await self._look_after_runs()
        nudged = 0
        for _ in range(PAGES_AT_MOST):
            page = await workflow.execute_activity_method(Sweeping.take_overdue, **DATABASE_STEP)
            if not page.messages:
                break
            await workflow.execute_activity_method(Sweeping.nudge_page, page, **DATABASE_STEP)
            nudged += len(page.messages)
            await self._let_it_move(page)
        return report.model_copy(update={"nudged": nudged})

    async def _look_after_runs(self) -> None:
        """A run whose own workflow was terminated would otherwise never come to its end, nor its measurement."""
        runs = await workflow.execute_activity_method(Sweeping.list_open_runs, **DATABASE_STEP)
        if runs.runs or runs.measurements:
            await workflow.execute_activity_method(Sweeping.look_after_runs, runs, **DATABASE_STEP)

    async def _let_it_move(self, page: OverduePage) -> None:
        """The next page when most of this one has moved: thousands at once would only wait for each other."""
        for _ in range(LOOKS_AT_A_PAGE):
            unmoved = await workflow.execute_activity_method(Sweeping.count_unmoved, page, **DATABASE_STEP)
            if unmoved <= len(page.messages) // 5:
                return
            await workflow.sleep(timedelta(seconds=1))
