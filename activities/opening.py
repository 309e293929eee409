"""The beginning of a run, and a run that cannot begin."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.orders import OpenedRun, OpenOrder
from activities.planned_times import PlannedTimes
from campaigns.campaign import Campaign, Parameters
from campaigns.registry import Registry, UnknownCampaignError
from channels.interface import Channel
from db.engine import transaction
from db.runs import RunView, fail_run, open_run
from domain.house_rules import HouseRules
from domain.ids import run_id_of, slot_of
from domain.plan import Plan, Rung
from domain.problems import ProblemError
from domain.rules import NeverOpensError


class PlanUnfitError(ProblemError):
    """No run can be made of the plan."""


class NoChannelError(PlanUnfitError):
    def __init__(self, wanted: Iterable[str]) -> None:
        super().__init__(f"no channel of this campaign is on ({', '.join(wanted)}): give the worker its credentials")


class NotMeasurableError(PlanUnfitError):
    def __init__(self, campaign: str) -> None:
        super().__init__(
            f"the plan of {campaign} is measured, but the campaign cannot read its subjects again: "
            "give it `read_again`, or leave `measured_for_seconds` out"
        )


def freeze(
    campaign: Campaign[Any],
    plan: Plan,
    channels: Mapping[str, Channel],
    house_rules: HouseRules,
    *,
    bypass_frequency_caps: bool = False,
) -> Plan:
    """The plan with what its channels declare and what the operator asks for, as it stays for the whole run.

    A channel that is off is no rung of it. Caps are bypassed by whoever starts the run, never by a campaign's file.
    Raises PlanUnfitError.
    """
    if plan.measured_for_seconds is not None and campaign.read_again is None:
        raise NotMeasurableError(campaign.name)
    ladder = tuple(_declared(rung, channels[rung.channel]) for rung in plan.ladder if rung.channel in channels)
    if not ladder:
        raise NoChannelError(rung.channel for rung in plan.ladder)
    own = plan.model_copy(update={"ladder": ladder, "bypass_frequency_caps": bypass_frequency_caps})
    try:
        return house_rules.applied_to(own)
    except NeverOpensError as error:
        raise PlanUnfitError(str(error)) from error


def _declared(rung: Rung, channel: Channel) -> Rung:
    facts = channel.facts
    return rung.model_copy(update={"retries_unknown": facts.retries_unknown, "repeated_as": facts.repeated_as})


class Opening:
    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        channels: Mapping[str, Channel],
        house_rules: HouseRules,
        planned_times: PlannedTimes,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._channels = channels
        self._house_rules = house_rules
        self._planned_times = planned_times

    @activity.defn
    async def open_run(self, order: OpenOrder) -> OpenedRun:
        """Make the run's row with its frozen plan; the second time it is found as it is. No row for a missed one."""
        missed = await self._planned_times.why_missed(order)
        if missed is not None:
            return OpenedRun(run_id=run_id_of(order.workflow_id), batch_size=0, batches_at_once=0, missed=missed)
        return await asyncio.to_thread(self._open_or_refuse, order)

    def _open_or_refuse(self, order: OpenOrder) -> OpenedRun:
        try:
            parameters = self._registry.parameters(order.run.campaign, order.run.parameters)
        except (UnknownCampaignError, ValueError) as error:
            raise _for_good(error) from error
        campaign = self._registry[order.run.campaign]
        wanted = campaign.plan(parameters)
        wanted = wanted.unmeasured() if order.run.retry_of else wanted
        try:
            frozen = freeze(
                campaign,
                wanted,
                self._channels,
                self._house_rules,
                bypass_frequency_caps=order.run.bypass_frequency_caps,
            )
            plan = order.run.launch.applied_to(frozen)
        except PlanUnfitError as error:
            self._open(order, parameters, wanted)
            self.fail_run(order.workflow_id, str(error))
            raise _for_good(error) from error
        run = self._open(order, parameters, plan)
        return OpenedRun(
            run_id=run.id,
            batch_size=plan.batch_size,
            batches_at_once=plan.batches_at_once,
            measured=plan.measured_for_seconds is not None,
        )

    def _open(self, order: OpenOrder, parameters: Parameters, plan: Plan) -> RunView:
        with transaction(self._engine) as session:
            return open_run(
                session,
                workflow_id=order.workflow_id,
                campaign=order.run.campaign,
                slot=slot_of(order.workflow_id, order.run.campaign),
                parameters=parameters.model_dump(mode="json"),
                plan=plan,
                released_up_to=order.run.limit,
                actor=order.run.actor,
                retry_of=order.run.retry_of,
            )

    @activity.defn
    def fail_run(self, workflow_id: str, reason: str) -> None:
        """It cannot begin: nothing was sent, and the run says why."""
        with transaction(self._engine) as session:
            fail_run(session, run_id_of(workflow_id), reason)


def _for_good(error: Exception) -> ApplicationError:
    return ApplicationError(str(error), type=type(error).__name__, non_retryable=True)
