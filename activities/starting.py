"""Starting a run by hand. That is Temporal's alone: the workflow's id makes two triggers one run."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.orders import RunOrder
from campaigns.registry import Registry
from domain.ids import run_id_of, run_workflow_id
from domain.problems import ProblemError

_LONGEST_KEY = 100


class BadKeyError(ProblemError):
    def __init__(self, key: str) -> None:
        super().__init__(
            f"idempotency key {key[:20]!r}… is not usable: 1 to {_LONGEST_KEY} letters, digits, dots, dashes or colons"
        )


@dataclass(frozen=True, slots=True)
class StartOrder:
    campaign: str
    parameters: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    """The caller's idempotency key; None: the minute and the parameters."""
    limit: int | None = None
    actor: str = "cli"


@dataclass(frozen=True, slots=True)
class Started:
    run_id: UUID
    workflow_id: str
    already: bool
    """This slot was started before: it is the same run."""


async def start_run(client: Client, registry: Registry, order: StartOrder, core_queue: str) -> Started:
    """Raises UnknownCampaignError, pydantic's ValidationError, BadKeyError, and RPCError when Temporal is away."""
    registry.parameters(order.campaign, order.parameters)
    workflow_id = run_workflow_id(order.campaign, (order.key and _checked(order.key)) or _slot_of_now(order))
    run = RunOrder(campaign=order.campaign, parameters=order.parameters, limit=order.limit, actor=order.actor)
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
    asked = json.dumps([order.parameters, order.limit], sort_keys=True, default=str).encode()
    minute = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
    return f"{minute}-{hashlib.sha256(asked).hexdigest()[:8]}"


def _checked(key: str) -> str:
    usable = 0 < len(key) <= _LONGEST_KEY and all(
        letter.isascii() and (letter.isalnum() or letter in ".-_:") for letter in key
    )
    if not usable:
        raise BadKeyError(key)
    return key
