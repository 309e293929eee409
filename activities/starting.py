"""Starting a run by hand. That is Temporal's alone: the workflow's id makes two triggers one run."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.orders import RunOrder
from campaigns.registry import Registry
from db.engine import transaction
from db.runs import RunView, has_run, write_down_run
from domain.ids import run_id_of, run_workflow_id, slot_of
from domain.launching import LaunchOrder
from domain.problems import ProblemError

_LONGEST_KEY = 100


class BadKeyError(ProblemError):
    def __init__(self, key: str) -> None:
        super().__init__(
            f"idempotency key {key[:20]!r}… is not usable: 1 to {_LONGEST_KEY} letters, digits, dots, dashes or colons"
        )


class KeyUsedOtherwiseError(ProblemError):
    def __init__(self, run_id: UUID, otherwise: str) -> None:
        super().__init__(f"this idempotency key has started run {run_id} with {otherwise}: use another key")


@dataclass(frozen=True, slots=True)
class StartOrder:
    campaign: str
    parameters: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    """The caller's idempotency key; None: the minute and the parameters."""
    limit: int | None = None
    actor: str = "cli"
    launch: LaunchOrder = LaunchOrder()  # noqa: RUF009 - frozen
    """In place of what the plan says."""
    bypass_frequency_caps: bool = False
    """By somebody who may: whoever takes the order asks for the scope."""
    retry_of: UUID | None = None
    """Over exactly the failed messages of this run."""


@dataclass(frozen=True, slots=True)
class Started:
    run_id: UUID
    workflow_id: str
    already: bool
    """This slot was started before: it is the same run."""


async def start_run(client: Client, registry: Registry, order: StartOrder, core_queue: str) -> Started:
    """Raises UnknownCampaignError, pydantic's ValidationError, BadKeyError, and RPCError when Temporal is away."""
    registry.parameters(order.campaign, order.parameters)
    workflow_id = _workflow_id(order)
    run = RunOrder(
        campaign=order.campaign,
        parameters=order.parameters,
        limit=order.limit,
        actor=order.actor,
        launch=order.launch,
        bypass_frequency_caps=order.bypass_frequency_caps,
        retry_of=order.retry_of,
    )
    already = False
    try:
        await client.start_workflow(
            "CampaignRun",
            run,
            id=workflow_id,
            task_queue=core_queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=f"{order.campaign}, started by {order.actor}",
        )
    except WorkflowAlreadyStartedError:
        already = True
    return Started(run_id_of(workflow_id), workflow_id, already)


def _slot_of_now(order: StartOrder) -> str:
    """Two clicks on the same button within a minute are one run."""
    wanted = [order.parameters, order.limit, order.launch.model_dump(), order.bypass_frequency_caps]
    asked = json.dumps(wanted, sort_keys=True, default=str).encode()
    minute = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
    return f"{minute}-{hashlib.sha256(asked).hexdigest()[:8]}"


def _checked(key: str) -> str:
    usable = 0 < len(key) <= _LONGEST_KEY and all(
        letter.isascii() and (letter.isalnum() or letter in ".-_:") for letter in key
    )
    if not usable:
        raise BadKeyError(key)
    return key


async def start_and_write_down(
    client: Client, engine: Engine, registry: Registry, order: StartOrder, core_queue: str
) -> Started:
    """As `start_run`, and the run's row too, so that it can be seen and stopped before a worker has begun it.

    A slot that has a row was started before, also where Temporal has forgotten it.
    """
    registry.parameters(order.campaign, order.parameters)
    found = await asyncio.to_thread(_find_started, engine, order)
    if found is not None:
        return found
    started = await start_run(client, registry, order, core_queue)
    await asyncio.to_thread(_write_down, engine, registry, order, started)
    return started


def check_same(
    run: RunView,
    parameters: Mapping[str, Any],
    *,
    bypass_frequency_caps: bool,
    launch: LaunchOrder = LaunchOrder(),  # noqa: B008 - frozen
) -> None:
    """A key that is used again for something else is a mistake, and must not look like a start.

    `parameters` are all that the run would use. Raises KeyUsedOtherwiseError.
    """
    if run.retry_of is not None:
        raise KeyUsedOtherwiseError(run.id, "what failed in another run as its audience")
    if run.parameters != parameters:
        raise KeyUsedOtherwiseError(run.id, "other parameters")
    if run.bypass_frequency_caps != bypass_frequency_caps:
        raise KeyUsedOtherwiseError(run.id, f"{'a' if run.bypass_frequency_caps else 'no'} bypass of frequency caps")
    if not launch.is_met_by(run.launch):
        raise KeyUsedOtherwiseError(run.id, "another canary or undo window")


def _find_started(engine: Engine, order: StartOrder) -> Started | None:
    workflow_id = _workflow_id(order)
    with transaction(engine) as session:
        known = has_run(session, workflow_id)
    return Started(run_id_of(workflow_id), workflow_id, already=True) if known else None


def _write_down(engine: Engine, registry: Registry, order: StartOrder, started: Started) -> None:
    parameters = registry.parameters(order.campaign, order.parameters)
    plan = registry[order.campaign].plan(parameters)
    plan = order.launch.applied_to(plan.unmeasured() if order.retry_of else plan)
    with transaction(engine) as session:
        write_down_run(
            session,
            workflow_id=started.workflow_id,
            campaign=order.campaign,
            slot=slot_of(started.workflow_id, order.campaign),
            parameters=parameters.model_dump(mode="json"),
            plan=plan.model_copy(update={"bypass_frequency_caps": order.bypass_frequency_caps}),
            released_up_to=order.limit,
            actor=order.actor,
            retry_of=order.retry_of,
        )


def _workflow_id(order: StartOrder) -> str:
    slot = _slot_of_now(order) if order.key is None else _checked(order.key)
    return run_workflow_id(order.campaign, slot)
