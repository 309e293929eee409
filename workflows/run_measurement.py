"""Did it help? Each subject of a run is read again when its own window closes, whatever was restarted in between."""

from datetime import timedelta

from temporalio import workflow

from workflows.policies import MEASURE

with workflow.unsafe.imports_passed_through():
    from activities.measuring import Measuring
    from activities.orders import Measurement, MeasureOrder


@workflow.defn
class RunMeasurement:
    @workflow.run
    async def run(self, order: MeasureOrder) -> Measurement:
        while True:
            look = await workflow.execute_activity_method(Measuring.measure_run, order, **MEASURE)
            if look.over:
                return look
            workflow.set_current_details(f"{look.read} outcomes read at the last look; windows are still open")
            await workflow.sleep(timedelta(seconds=look.look_again_seconds), summary="until windows close")
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(order)
