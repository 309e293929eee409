"""The beginning of a run, and a run that cannot begin."""

from collections.abc import Mapping

from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.orders import OpenedRun, OpenOrder
from campaigns.registry import Registry, UnknownCampaignError
from channels.interface import Channel
from db.engine import transaction
from db.runs import fail_run, open_run
from domain.ids import run_id_of, slot_of
from domain.plan import Plan


def freeze(plan: Plan, channels: Mapping[str, Channel]) -> Plan:
    """The plan with what its channels declare about themselves, as it stays for the whole run."""
    ladder = tuple(
        rung.model_copy(update={"retries_unknown": channels[rung.channel].facts.retries_unknown})
        if rung.channel in channels
        else rung
        for rung in plan.ladder
    )
    return plan.model_copy(update={"ladder": ladder})


class Opening:
    def __init__(self, engine: Engine, registry: Registry, channels: Mapping[str, Channel]) -> None:
        self._engine = engine
        self._registry = registry
        self._channels = channels

    @activity.defn
    def open_run(self, order: OpenOrder) -> OpenedRun:
        """Make the run's row with its frozen plan; the second time it is found as it is."""
        name = order.run.campaign
        try:
            parameters = self._registry.parameters(name, order.run.parameters)
        except (UnknownCampaignError, ValueError) as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from error
        plan = freeze(self._registry[name].plan(parameters), self._channels)
        with transaction(self._engine) as session:
            run = open_run(
                session,
                workflow_id=order.workflow_id,
                campaign=name,
                slot=slot_of(order.workflow_id, name),
                parameters=parameters.model_dump(mode="json"),
                plan=plan,
                released_up_to=order.run.limit,
                actor=order.run.actor,
            )
        return OpenedRun(run_id=run.id, batch_size=plan.batch_size, batches_at_once=plan.batches_at_once)

    @activity.defn
    def fail_run(self, workflow_id: str, reason: str) -> None:
        """The audience could not be taken: nothing was sent, and the run says why."""
        with transaction(self._engine) as session:
            fail_run(session, run_id_of(workflow_id), reason)
