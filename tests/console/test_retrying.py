"""`drumbeat retry-failed`."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Engine, update
from temporalio.client import Client

from db.engine import transaction
from db.tables import Message, Run
from domain.ids import run_id_of, run_workflow_id
from tests.api.rows import SentMessage, add_sent_message
from tests.console.terminal import Terminal


def with_all_failed(engine: Engine) -> SentMessage:
    sent = add_sent_message(engine, slot=uuid4().hex)
    with transaction(engine) as session:
        session.execute(update(Message).values(state="failed", ended_at=datetime.now(UTC)))
        session.execute(update(Run).values(state="closed", closed_at=datetime.now(UTC)))
    return sent


def test_what_failed_is_retried_by_a_run_that_says_so(
    drumbeat: Terminal, engine: Engine, temporal_client: Client
) -> None:
    over = with_all_failed(engine)
    key = uuid4().hex
    first = drumbeat("retry-failed", str(over.run_id), "--key", key)
    second = drumbeat("retry-failed", str(over.run_id), "--key", key)
    asyncio.run(temporal_client.get_workflow_handle(f"run:lock_battery-{key}").terminate())
    again = run_id_of(run_workflow_id("lock_battery", key))
    assert (first.code, second.code) == (0, 0)
    assert f"Started: run {again}" in first.out
    assert f"Started before: run {again}" in second.out
    shown = drumbeat("show", str(again), "--once").out
    assert f"retries what failed in {str(over.run_id)[:8]}" in shown


def test_a_run_that_is_not_over_is_not_retried(drumbeat: Terminal, engine: Engine) -> None:
    sent = add_sent_message(engine)
    said = drumbeat("retry-failed", str(sent.run_id))
    assert said.code == 1
    assert "cannot retry what failed in a run that is running: wait until nobody is awaited any more" in said.err


def test_a_run_without_a_failure_is_not_retried(drumbeat: Terminal, engine: Engine) -> None:
    sent = add_sent_message(engine)
    with transaction(engine) as session:
        session.execute(update(Run).values(state="closed", closed_at=datetime.now(UTC)))
    said = drumbeat("retry-failed", str(sent.run_id))
    assert said.code == 1
    assert f"nothing has failed in run {sent.run_id}: there is nobody to send to again" in said.err
