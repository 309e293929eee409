"""`POST /api/v1/runs/{id}/retry-failed`."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from db.engine import transaction
from db.tables import Message, Run
from domain.states import RunState
from tests.api.rows import SentMessage, add_sent_message, stored
from tests.api.temporal_double import TemporalDouble


@pytest.fixture
def over(engine: Engine) -> SentMessage:
    """Of a closed run whose only message has failed."""
    sent = add_sent_message(engine)
    with transaction(engine) as session:
        session.execute(update(Message).values(state="failed", ended_at=datetime.now(UTC)))
        session.execute(update(Run).values(state=RunState.CLOSED, closed_at=datetime.now(UTC)))
    return sent


def retry(sent: SentMessage) -> str:
    return f"/api/v1/runs/{sent.run_id}/retry-failed"


def test_a_retry_starts_one_run_that_names_the_first(
    api: TestClient, over: SentMessage, temporal: TemporalDouble
) -> None:
    first, second = api.post(retry(over)), api.post(retry(over))
    slot = f"retry-of-{str(over.run_id)[:8]}"
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["workflow_id"] == f"run:lock_battery-{slot}"
    assert second.json() == first.json() | {"already": True}
    assert list(temporal.started) == [f"run:lock_battery-{slot}"]
    shown = api.get(first.headers["location"]).json()["run"]
    assert (shown["retry_of"], shown["started_by"]) == (str(over.run_id), "local")
    [order] = [each["order"] for each in temporal.started.values()]
    assert order.retry_of == over.run_id
    another = api.post(retry(over), headers={"Idempotency-Key": "second-try"})
    assert another.json()["run_id"] != first.json()["run_id"]


def test_what_retries_is_neither_measured_nor_is_anybody_held_out(
    api: TestClient, over: SentMessage, engine: Engine
) -> None:
    run_id = UUID(api.post(retry(over)).json()["run_id"])
    [plan] = [run.plan for run in stored(engine, Run) if run.id == run_id]
    assert (plan["holdout_percent"], plan["measured_for_seconds"]) == (0, None)


def test_a_key_that_has_started_something_else_is_refused(api: TestClient, over: SentMessage) -> None:
    key = {"Idempotency-Key": "spring-again"}
    api.post("/api/v1/runs", json={"campaign": "lock_battery"}, headers=key)
    answer = api.post(retry(over), headers=key)
    assert (answer.status_code, answer.json()["type"]) == (409, "/docs#idempotency-key-used")
    other = {"Idempotency-Key": "second-try"}
    api.post(retry(over), headers=other)
    answer = api.post("/api/v1/runs", json={"campaign": "lock_battery"}, headers=other)
    assert (answer.status_code, answer.json()["type"]) == (409, "/docs#idempotency-key-used")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (update(Run).values(closed_at=None, state="running"), "wrong-state"),
        (update(Message).values(state="delivered"), "nothing-failed"),
        (update(Run).values(parameters={"colour": "red"}), "parameters-unfit"),
    ],
)
def test_a_retry_that_cannot_be_is_refused_before_anything_is_started(
    *, api: TestClient, over: SentMessage, engine: Engine, temporal: TemporalDouble, change: object, word: str
) -> None:
    with transaction(engine) as session:
        session.execute(change)  # type: ignore[call-overload] # an update
    answer = api.post(retry(over))
    assert (answer.status_code, answer.json()["type"]) == (409, f"/docs#{word}")
    assert temporal.started == {}
