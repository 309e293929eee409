"""The two that are measured: how a run of each starts, takes its acknowledgements, and is checked."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

from sqlalchemy import Engine
from temporalio.client import Client, WorkflowHandle

from activities.queues import CORE
from activities.starting import StartOrder, start_and_write_down
from benchmarks.bare import BareDelivery, BareOrder, BareRun
from benchmarks.campaign import NAME, Measured, build_registry, plan
from benchmarks.figures import BARE, OURS
from db.engine import transaction
from db.facts import take_acknowledgement
from db.proof import prove
from domain.ids import run_id_of
from workflows.recipient_delivery import RecipientDelivery


class UnfinishedRunError(Exception):
    """The measured run did not do what was asked of it: its speed means nothing."""


Run = WorkflowHandle[Any, Any]


class Contestant(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def delivery(self) -> str:
        """The type of a recipient's workflow."""

    async def start(self, client: Client, recipients: int) -> Run: ...

    def take(self, handed_over: UUID) -> UUID:
        """Keep an acknowledgement; whose it is."""

    def check(self, run: Run, recipients: int) -> None:
        """Raises UnfinishedRunError."""


class Bare:
    name = BARE
    delivery = BareDelivery.__name__

    async def start(self, client: Client, recipients: int) -> Run:
        rules = plan(Measured())
        order = BareOrder(
            run_id=uuid4(),
            recipients=recipients,
            batch_size=rules.batch_size,
            batches_at_once=rules.batches_at_once,
        )
        return await client.start_workflow(BareRun.run, order, id=f"run:bare-{order.run_id}", task_queue=CORE)

    def take(self, handed_over: UUID) -> UUID:
        """Nothing is kept."""
        return handed_over

    def check(self, run: Run, recipients: int) -> None:
        """It has no ledger to look into: its devices have counted."""


@dataclass(frozen=True)
class Ours:
    engine: Engine
    name: str = OURS
    delivery: str = RecipientDelivery.__name__

    async def start(self, client: Client, recipients: int) -> Run:
        order = StartOrder(NAME, {"recipients": recipients}, uuid4().hex, actor="benchmark")
        started = await start_and_write_down(client, self.engine, build_registry(), order, CORE)
        return client.get_workflow_handle(started.workflow_id)

    def take(self, handed_over: UUID) -> UUID:
        """As the API does, before it answers."""
        with transaction(self.engine) as session:
            taken = take_acknowledgement(session, handed_over, datetime.now(UTC))
        if taken is None or not taken.first:
            raise UnfinishedRunError(f"attempt {handed_over} is unknown, or was acknowledged before")
        return taken.message_id

    def check(self, run: Run, recipients: int) -> None:
        with transaction(self.engine) as session:
            proof = prove(session, run_id_of(run.id))
        if not proof.balanced or proof.states != {"delivered": recipients}:
            raise UnfinishedRunError(f"{recipients} were to be delivered: {proof}")
