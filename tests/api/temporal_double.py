"""Stands in for a Temporal client where the test is about our side: records what it is asked, or is away."""

from dataclasses import dataclass, field
from queue import Queue
from typing import Any

from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

SECONDS_AT_MOST = 10


class UnreachableError(Exception):
    """As the connector of wiring.py raises it: nothing that the API knows."""


@dataclass
class TemporalDouble:
    away: bool = False
    """It cannot be connected to."""
    errors: list[RPCStatusCode] = field(default_factory=list)
    """What the next signals end in, before one gets through."""
    signals: Queue[tuple[str, str]] = field(default_factory=Queue)
    """(workflow or schedule id, signal), in the order of their arrival."""
    started: dict[str, dict[str, Any]] = field(default_factory=dict)
    connected: int = 0

    async def connect(self) -> "TemporalDouble":
        self.connected += 1
        if self.away:
            raise UnreachableError("connection refused")
        return self

    def next_signal(self) -> tuple[str, str]:
        return self.signals.get(timeout=SECONDS_AT_MOST)

    def get_workflow_handle(self, workflow_id: str) -> "HandleDouble":
        return HandleDouble(self, workflow_id)

    def get_schedule_handle(self, schedule_id: str) -> "HandleDouble":
        return HandleDouble(self, schedule_id)

    async def start_workflow(self, workflow: str, order: object, *, id: str, **more: Any) -> None:  # noqa: A002, ANN401 - the client's own signature
        if id in self.started:
            raise WorkflowAlreadyStartedError(id, workflow)
        self.started[id] = {"workflow": workflow, "order": order, **more}

    @property
    def service_client(self) -> "TemporalDouble":
        return self

    async def check_health(self, **_: object) -> bool:
        return True


@dataclass
class HandleDouble:
    temporal: TemporalDouble
    target: str

    async def signal(self, signal: str) -> None:
        if self.temporal.errors:
            status = self.temporal.errors.pop(0)
            raise RPCError(status.name, status, b"")
        self.temporal.signals.put((self.target, signal))

    async def trigger(self) -> None:
        await self.signal("trigger")
