"""The one nudger's work: find who waits for nothing, call their workflows, and start those that are not there."""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import Engine
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from activities.nudging import nudge, wake_sweep
from activities.orders import (
    MeasureOrder,
    MessageOrder,
    OpenRun,
    OpenRuns,
    OverdueMessage,
    OverduePage,
    RunOrder,
    SweepOrder,
    SweepReport,
)
from db.engine import transaction
from db.measurement import list_open_measurements
from db.runs import list_open_runs
from db.sweeping import count_sweep, count_unmoved, forget_told, take_overdue
from domain.ids import measurement_workflow_id, message_workflow_id
from domain.launching import launch_order_of

PAGE = 200
AT_ONCE = 20
BEGINS_WITHIN = timedelta(minutes=1)
"""A younger run has just been begun by its own workflow."""

log = structlog.get_logger()


class Sweeping:
    def __init__(self, engine: Engine, client: Client, core_queue: str) -> None:
        self._engine = engine
        self._client = client
        self._core_queue = core_queue

    @activity.defn
    def count_sweep(self, order: SweepOrder) -> SweepReport:
        """Compare our count with Temporal's memory of it; a database that is behind gets all its runs paused."""
        with transaction(self._engine) as session:
            count, paused = count_sweep(session, order.remembered)
        return SweepReport(count=count, runs_paused=paused)

    @activity.defn
    def take_overdue(self) -> OverduePage:
        with transaction(self._engine) as session:
            page = take_overdue(session, PAGE)
        return OverduePage(
            messages=[
                OverdueMessage(message_id=each.message_id, channel=each.channel, ended=each.ended) for each in page
            ]
        )

    @activity.defn
    def list_open_runs(self) -> OpenRuns:
        """What has not come to its end, runs and measurements; each needs a workflow that looks after it."""
        with transaction(self._engine) as session:
            runs = list_open_runs(session, BEGINS_WITHIN)
            measured = list_open_measurements(session, BEGINS_WITHIN)
        return OpenRuns(
            runs=[
                OpenRun(
                    workflow_id=run.workflow_id,
                    order=RunOrder(
                        campaign=run.campaign,
                        parameters=run.parameters,
                        limit=run.released_up_to,
                        actor="sweep",
                        # Of one that no worker has begun: the others have their frozen plan.
                        launch=launch_order_of(run.launch),
                        bypass_frequency_caps=run.bypass_frequency_caps,
                        retry_of=run.retry_of,
                    ),
                )
                for run in runs
            ],
            measurements=[MeasureOrder(run_id=each.run_id, campaign=each.campaign) for each in measured],
        )

    @activity.defn
    async def look_after_runs(self, runs: OpenRuns) -> None:
        """Start a run's workflow again where it is gone (terminated, or failed); the others go on as they are."""
        for run in runs.runs:
            await self._client.start_workflow(
                "CampaignRun",
                run.order,
                id=run.workflow_id,
                task_queue=self._core_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"{run.order.campaign}, taken up again by Sweep",
            )
        for order in runs.measurements:
            await self._client.start_workflow(
                "RunMeasurement",
                order,
                id=measurement_workflow_id(order.run_id),
                task_queue=self._core_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"{order.campaign}: outcomes, taken up again by Sweep",
            )

    @activity.defn
    async def wake_sweep(self) -> None:
        """After a resume that was typed into Temporal; over HTTP and on the command line the same is done there."""
        await wake_sweep(self._client)

    # Those that only talk to Temporal are asynchronous, as its client is.
    @activity.defn
    async def nudge_page(self, page: OverduePage) -> None:
        """Signal each workflow; start it with the signal where the message has not ended."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(message: OverdueMessage) -> UUID | None:
            async with places:
                try:
                    return await self._nudge(message)
                except RPCError as error:  # one that cannot be called must not keep the others from being called
                    log.warning("not_nudged", message_id=str(message.message_id), error=str(error.status))
                    return None

        nobody_to_tell = [each for each in await asyncio.gather(*map(one, page.messages)) if each]
        await asyncio.to_thread(self._forget, nobody_to_tell)

    @activity.defn
    def count_unmoved(self, page: OverduePage) -> int:
        with transaction(self._engine) as session:
            return count_unmoved(session, [each.message_id for each in page.messages])

    async def _nudge(self, message: OverdueMessage) -> UUID | None:
        """The message's id where it has ended and so has its workflow."""
        if message.ended:
            told = await nudge(self._client, message.message_id, "look_again")
            return None if told else message.message_id
        await self._client.start_workflow(
            "RecipientDelivery",
            MessageOrder(message_id=message.message_id, channel=message.channel),
            id=message_workflow_id(message.message_id),
            task_queue=self._core_queue,
            start_signal="look_again",
            static_summary=f"one recipient, taken up by Sweep, first by {message.channel}",
            # One that was terminated must come back: the database says that its message is not at an end.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        return None

    def _forget(self, message_ids: list[UUID]) -> None:
        with transaction(self._engine) as session:
            forget_told(session, message_ids)
