"""A whole stack, spoken to as its users do: by HTTP, and by what its providers have seen."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db.engine import create_database_engine
from db.tables import Attempt
from domain.states import HANDED_OVER, AttemptState, RunState
from sandbox.fcm import AcceptedPush, Fault
from sandbox.people import World, invent_world
from sandbox.polling import wait_until
from sandbox.stack import Stack

PATIENCE_SECONDS = 90.0
LOCKS, SEED = 130, 5
TTL_SECONDS = 2
SETTINGS = {
    "LOCK_BATTERY_SCHEDULE": "off",
    # So few, and each so slow (`hold_up`), that a run lasts for seconds.
    "WORKER_SLOTS": "8",
}


@dataclass(frozen=True)
class Play:
    stack: Stack
    world: World
    engine: Engine
    api: httpx2.Client

    def start(self, key: str | None = None) -> UUID:
        order = {"campaign": "lock_battery", "parameters": {"ttl_seconds": TTL_SECONDS}}
        answer = self.api.post("/api/v1/runs", json=order, headers={"idempotency-key": key or uuid4().hex})
        return UUID(answer.raise_for_status().json()["run_id"])

    def control(self, run_id: UUID, action: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.post(f"/api/v1/runs/{run_id}/{action}").raise_for_status().json()
        return answer

    def stand(self, run_id: UUID) -> dict[str, Any]:
        """None of it while no worker has taken it up."""
        answer = self.api.get(f"/api/v1/runs/{run_id}")
        return {} if answer.status_code == httpx2.codes.NOT_FOUND else dict(answer.raise_for_status().json())

    def state(self, run_id: UUID) -> str | None:
        run: Mapping[str, str] = self.stand(run_id).get("run", {})
        return run.get("state")

    def await_state(self, run_id: UUID, state: RunState) -> None:
        wait_until(lambda: self.state(run_id) == state, PATIENCE_SECONDS, f"the run is {state}")

    def await_accepted(self, run_id: UUID, count: int) -> None:
        """By FCM, of this run; which has not ended then."""
        wait_until(lambda: len(self.accepted(run_id)) >= count, PATIENCE_SECONDS, f"{count} are accepted", 0.02)
        assert self.state(run_id) == RunState.RUNNING

    def pushes(self, run_id: UUID) -> list[AcceptedPush]:
        """Of this run, by FCM's own book and in its order."""
        ours = {str(attempt.id) for attempt in self.attempts(run_id)}
        return [push for push in self.stack.fcm.accepted if push.message_id in ours]

    def accepted(self, run_id: UUID) -> list[UUID]:
        """The attempts of this run that FCM has accepted."""
        return [UUID(push.message_id) for push in self.pushes(run_id)]

    def attempts(self, run_id: UUID, channel: str = "fcm") -> list[Attempt]:
        """In their order, message by message."""
        of_run = select(Attempt).where(Attempt.run_id == run_id, Attempt.channel == channel)
        with Session(self.engine) as session:
            return list(session.scalars(of_run.order_by(Attempt.message_id, Attempt.number)))

    def balances(self, run_id: UUID) -> bool:
        proof = self.api.get(f"/api/v1/runs/{run_id}/proof").raise_for_status().json()
        return bool(proof["balanced"] and not proof["unfinished"])

    def agrees_with_fcm(self, run_id: UUID) -> bool:
        """All that FCM accepted is in the ledger as handed over, or as not known; and all that was handed over is."""
        attempts = self.attempts(run_id)
        handed_over = {attempt.id for attempt in attempts if attempt.state in HANDED_OVER}
        unknown = {attempt.id for attempt in attempts if attempt.state == AttemptState.UNKNOWN}
        accepted = self.accepted(run_id)
        return len(accepted) == len(set(accepted)) and set(accepted) - unknown == handed_over

    @contextmanager
    def hold_up(self, fault: Fault, pattern: str = "tok-") -> Iterator[None]:
        """All that goes to FCM meets this fault."""
        self.stack.fcm.fail(pattern, fault)
        try:
            yield
        finally:
            self.stack.fcm.heal(pattern)


@contextmanager
def playing(folder: Path, *, populate: bool = True) -> Iterator[Play]:
    """From its start to its end; on a folder that has been played on, it goes on there."""
    world = invent_world(LOCKS, SEED, datetime.now(UTC))
    said: list[str] = []
    with Stack(folder, said.append, durable=False, settings=SETTINGS) as stack:
        if populate:
            stack.populate(world)
        engine = create_database_engine(stack.postgres.url, pool_size=2)
        with httpx2.Client(base_url=stack.api_url, timeout=30, trust_env=False) as api:
            yield Play(stack, world, engine, api)
        engine.dispose()
