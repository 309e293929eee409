"""A run without Temporal: its rows are made by the real snapshot and batch, and a test takes every step by hand."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Engine, Table, delete, func, select, text, update
from sqlalchemy.orm import Session

from db.audience import add_messages, assign, close_snapshot, store_rows
from db.batches import open_batch
from db.decisions import Claim, Decision, decide
from db.engine import transaction
from db.facts import TakenAcknowledgement, take_acknowledgement
from db.outcomes import Outcome, record
from db.proof import Proof, prove
from db.runs import RunView, get_run, open_run
from db.tables import ATTEMPTS, MESSAGES, Attempt, AuditEntry, Base, Message, Run
from domain.hashing import AddressHasher
from domain.ids import run_workflow_id
from domain.message import Message as Text
from domain.message import Recipient
from domain.plan import Plan, Rung
from domain.states import AttemptState, Awaited, FailureKind

T = TypeVar("T")
Row = TypeVar("Row", bound=Base)

HASHER = AddressHasher(b"a key for tests, and for tests only")
PATIENCE_SECONDS = 30
SENT = Outcome(AttemptState.SENT, provider_id="accepted")
UNKNOWN = Outcome(AttemptState.UNKNOWN, error_code="cut", error_text="the connection broke")
RELEASED = Outcome(AttemptState.RELEASED, error_code="hand_over_limit")


def failed(failure: FailureKind, retry_after: float | None = None) -> Outcome:
    return Outcome(AttemptState.FAILED, failure=failure, error_code=failure, retry_after=retry_after)


def a_plan(*channels: str, retries_unknown: bool = True, ttl_seconds: int = 3600, **changes: object) -> Plan:
    ladder = tuple(
        Rung(channel=channel, ttl_seconds=ttl_seconds, retries_unknown=retries_unknown)
        for channel in channels or ("fcm", "mqtt")
    )
    return Plan.model_validate({"ladder": ladder, "awaits": frozenset(Awaited), **changes})


@dataclass(frozen=True)
class Scene:
    engine: Engine

    def opened(self, *recipients: Recipient, plan: Plan | None = None) -> UUID:
        """A run whose batches are all open: every message waits for its first `advance`."""
        run_id = self.snapshot(*recipients, plan=plan)
        for number in range(1, len(recipients) // (plan or a_plan()).batch_size + 2):
            self.open_batch(run_id, number)
        return run_id

    def open_batch(self, run_id: UUID, number: int) -> None:
        with transaction(self.engine) as session:
            open_batch(session, run_id, number, lambda recipient: Text("Probe", f"for {recipient.id}"))

    def snapshot(
        self,
        *recipients: Recipient,
        plan: Plan | None = None,
        slot: str | None = None,
        limit: int | None = None,
        actor: str | None = None,
    ) -> UUID:
        run_id = self.queued(plan=plan, slot=slot, limit=limit, actor=actor)
        self.take_audience(run_id, *recipients)
        return run_id

    def take_audience(self, run_id: UUID, *recipients: Recipient) -> None:
        with transaction(self.engine) as session:
            store_rows(session, run_id, recipients)
            assignment = assign(session, run_id)
            while add_messages(session, run_id, ["fcm", "mqtt"], assignment=assignment):
                pass
            close_snapshot(session, run_id, {}, {})

    def queued(
        self,
        *,
        plan: Plan | None = None,
        slot: str | None = None,
        limit: int | None = None,
        actor: str | None = None,
    ) -> UUID:
        slot = slot or uuid4().hex
        with transaction(self.engine) as session:
            return open_run(
                session,
                workflow_id=run_workflow_id("probe", slot),
                campaign="probe",
                slot=slot,
                parameters={},
                plan=plan or a_plan(),
                released_up_to=limit,
                actor=actor,
            ).id

    def decide(self, message_id: UUID, channel: str | None = "fcm") -> Decision:
        with transaction(self.engine) as session:
            decision = decide(session, message_id, HASHER, send_on=channel)
        assert decision is not None
        return decision

    def claim(self, message_id: UUID, channel: str = "fcm") -> Claim:
        claim = self.decide(message_id, channel).claim
        assert claim is not None
        return claim

    def settle(self, claim: Claim, outcome: Outcome = SENT) -> Decision:
        """As `advance` does: what became of it, then what comes next."""
        with transaction(self.engine) as session:
            record(session, claim, outcome, HASHER)
        return self.decide(claim.message_id, None)

    def send(self, message_id: UUID, channel: str = "fcm", outcome: Outcome = SENT) -> UUID:
        """One whole `advance` on that channel; the attempt's id."""
        claim = self.claim(message_id, channel)
        self.settle(claim, outcome)
        return claim.attempt_id

    def acknowledge(self, attempt_id: UUID) -> TakenAcknowledgement:
        with transaction(self.engine) as session:
            taken = take_acknowledgement(session, attempt_id, datetime.now(UTC))
        assert taken is not None
        return taken

    def silence(self, message_id: UUID, late_by: timedelta = timedelta(milliseconds=1)) -> None:
        """Its deadlines have passed, so long ago."""
        with transaction(self.engine) as session:
            awaited = Attempt.message_id == message_id, Attempt.deadline.is_not(None)
            session.execute(update(Attempt).where(*awaited).values(deadline=func.clock_timestamp() - late_by))

    def rewind(self, message_id: UUID, back: timedelta) -> None:
        """As if its tries had been claimed so much earlier."""
        with transaction(self.engine) as session:
            earlier = update(Attempt).where(Attempt.message_id == message_id)
            session.execute(earlier.values(claimed_at=Attempt.claimed_at - back, retry_at=Attempt.retry_at - back))

    def let_pass(self, run_id: UUID, time_passed: timedelta) -> None:
        """As if all that has happened to the run had happened so much earlier."""
        with transaction(self.engine) as session:
            runs = cast("Table", Run.__table__)
            for table, run in ((runs, runs.c.id), (MESSAGES, MESSAGES.c.run_id), (ATTEMPTS, ATTEMPTS.c.run_id)):
                moments = [column for column in table.columns if isinstance(column.type, DateTime)]
                earlier = {column.name: column - time_passed for column in moments}
                session.execute(update(table).where(run == run_id).values(**earlier))

    def set(self, run_id: UUID, **values: object) -> None:
        with transaction(self.engine) as session:
            session.execute(update(Run).where(Run.id == run_id).values(**values))

    def set_message(self, message_id: UUID, **values: object) -> None:
        with transaction(self.engine) as session:
            session.execute(update(Message).where(Message.id == message_id).values(**values))

    def set_attempt(self, attempt_id: UUID, **values: object) -> None:
        with transaction(self.engine) as session:
            session.execute(update(Attempt).where(Attempt.id == attempt_id).values(**values))

    def erase(self, message_id: UUID) -> None:
        with transaction(self.engine) as session:
            session.execute(delete(Message).where(Message.id == message_id))

    def run(self, run_id: UUID) -> RunView:
        with transaction(self.engine) as session:
            return get_run(session, run_id)

    def ids(self, run_id: UUID) -> list[UUID]:
        with transaction(self.engine) as session:
            return list(session.scalars(select(Message.id).where(Message.run_id == run_id).order_by(Message.position)))

    def message(self, message_id: UUID) -> Message:
        with transaction(self.engine) as session:
            return session.get_one(Message, message_id)

    def attempts(self, message_id: UUID) -> list[Attempt]:
        with transaction(self.engine) as session:
            query = select(Attempt).where(Attempt.message_id == message_id).order_by(Attempt.number)
            return list(session.scalars(query))

    def attempt_states(self, message_id: UUID) -> list[tuple[int, str]]:
        return [(attempt.number, attempt.state) for attempt in self.attempts(message_id)]

    def proof(self, run_id: UUID) -> Proof:
        with transaction(self.engine) as session:
            return prove(session, run_id)

    def stored(self, table: type[Row], **values: object) -> list[Row]:
        with transaction(self.engine) as session:
            return list(session.scalars(select(table).filter_by(**values)))

    def audit(self, run_id: UUID) -> list[tuple[str, str]]:
        """(actor, action) of all that was done to it since its start."""
        rows = sorted(self.stored(AuditEntry, run_id=run_id), key=lambda entry: entry.id)
        return [(entry.actor, entry.action) for entry in rows if entry.action != "start"]

    def everything(self, table: type[Row], run_id: UUID) -> list[dict[str, object]]:
        """All columns of the run's rows, to see that none was touched."""
        with Session(self.engine) as session:
            rows = session.execute(select(table.__table__).where(table.__table__.c.run_id == run_id))
            return sorted((dict(row._mapping) for row in rows), key=str)

    @contextmanager
    def meanwhile(self, action: Callable[[], T]) -> Iterator["Future[T]"]:
        """`action` runs in a thread of its own; it has ended when the block is left."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(action)

    def until_somebody_waits(self) -> None:
        """Until a connection of this database waits for a lock."""
        waiting = text(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        for _ in range(PATIENCE_SECONDS * 100):
            with self.engine.connect() as connection:
                if connection.scalar(waiting):
                    return
            time.sleep(0.01)
        raise AssertionError("nobody ever waited for a lock")


def in_threads(number: int, action: Callable[[int], T]) -> list[T]:
    """All at once: nobody begins before all are there."""
    gate = threading.Barrier(number)

    def begin(index: int) -> T:
        gate.wait(PATIENCE_SECONDS)
        return action(index)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(begin, range(number)))
