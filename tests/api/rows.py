"""A run with messages that were handed over, written straight into the tables."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from socket import socket
from typing import TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from db.engine import create_database_engine, transaction
from db.runs import open_run
from db.tables import Attempt, Base, Message, Run
from domain.ids import run_workflow_id
from domain.plan import Plan, Rung
from domain.states import AttemptState, Awaited, MessageState, RunState

Row = TypeVar("Row", bound=Base)
PLAN = Plan(
    ladder=(Rung(channel="fcm", ttl_seconds=3600), Rung(channel="mqtt", ttl_seconds=3600)),
    awaits=frozenset({Awaited.ACKNOWLEDGEMENT, Awaited.CLICK}),
)


@dataclass(frozen=True)
class SentMessage:
    run_id: UUID
    workflow_id: str
    message_id: UUID
    attempt_id: UUID


def add_run(
    engine: Engine,
    slot: str = "spring",
    *,
    state: RunState = RunState.RUNNING,
    targeted: int | None = 1,
    released_up_to: int | None = None,
) -> tuple[UUID, str]:
    workflow_id = run_workflow_id("lock_battery", slot)
    with transaction(engine) as session:
        run = open_run(
            session,
            workflow_id=workflow_id,
            campaign="lock_battery",
            slot=slot,
            parameters={"stale_after_days": 30, "ttl_seconds": 3600},
            plan=PLAN,
            released_up_to=released_up_to,
        )
        row = session.get_one(Run, run.id)
        row.state, row.targeted = state, targeted
    return run.id, workflow_id


def add_sent_message(
    engine: Engine,
    *,
    slot: str = "spring",
    recipient: str = "ada",
    lock: str = "lock-17",
    sent_ago: timedelta = timedelta(minutes=1),
) -> SentMessage:
    run_id, workflow_id = add_run(engine, slot)
    message_id, attempt_id, sent_at = uuid4(), uuid4(), datetime.now(UTC) - sent_ago
    with transaction(engine) as session:
        session.execute(
            insert(Message).values(
                id=message_id,
                run_id=run_id,
                position=1,
                recipient_id=recipient,
                facts={"locks": [lock]},
                addresses={"fcm": ["token-1"]},
                acknowledges=True,
                state=MessageState.SENT,
                due_at=sent_at + timedelta(hours=1),
            )
        )
        session.execute(
            insert(Attempt).values(
                id=attempt_id,
                message_id=message_id,
                run_id=run_id,
                number=1,
                channel="fcm",
                address="token-1",
                state=AttemptState.SENT,
                claimed_at=sent_at,
                settled_at=sent_at,
                deadline=sent_at + timedelta(hours=1),
            )
        )
    return SentMessage(run_id, workflow_id, message_id, attempt_id)


def stored(engine: Engine, table: type[Row]) -> list[Row]:
    with Session(engine, expire_on_commit=False) as session:
        return list(session.scalars(select(table)))


def message_state(engine: Engine, message_id: UUID) -> str:
    with Session(engine) as session:
        return session.get_one(Message, message_id).state


def away_from(engine: Engine) -> Engine:
    """An engine for the same database on a port where nobody listens."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = engine.url.set(host="127.0.0.1", port=free.getsockname()[1])
    return create_database_engine(nobody.render_as_string(hide_password=False), pool_size=1)
