"""A large run, and the second key."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.parts import Parts
from db.api_keys import Scope
from db.engine import transaction
from db.tables import AuditEntry, Run
from domain.launching import Gate
from domain.plan import Launch
from domain.states import RunState
from tests.api.conftest import OpenApp
from tests.api.rows import PLAN, add_run, stored
from tests.api.temporal_double import TemporalDouble
from tests.api.test_keys import bearing, make_key

APPROVE = "/api/v1/runs/lock_battery-spring/approve"


def add_large_run(engine: Engine, started_by: str) -> str:
    """Its workflow's id."""
    run_id, workflow_id = add_run(engine, state=RunState.PAUSED, targeted=5000)
    with transaction(engine) as session:
        run = session.get_one(Run, run_id)
        run.plan = PLAN.model_copy(update={"launch": Launch(approval_above=1000)}).model_dump(mode="json")
        run.paused_at = datetime.now(UTC)
        run.gate, run.state_reason, run.started_by = Gate.APPROVAL, "approval awaited: …", started_by
    return workflow_id


@pytest.fixture
def guarded(open_app: OpenApp, parts: Parts) -> TestClient:
    return open_app(replace(parts, api_keys_required=True))


def test_somebody_else_with_the_scope_lets_it_go_and_the_run_is_told(
    guarded: TestClient, engine: Engine, temporal: TemporalDouble
) -> None:
    workflow_id = add_large_run(engine, "starter")
    key = make_key(engine, Scope.APPROVE)

    answer = guarded.post(APPROVE, headers=bearing(key))

    assert answer.status_code == 200
    assert {**answer.json(), "run_id": ""} == {"run_id": "", "targeted": 5000, "state": "running", "waits_for": None}
    assert temporal.next_signal() == (workflow_id, "run_changed")
    [entry] = stored(engine, AuditEntry)
    assert (entry.actor, entry.action, entry.details) == (key.split("_")[1], "approve", {"targeted": 5000})


def test_the_key_that_started_it_is_not_a_second_one(guarded: TestClient, engine: Engine) -> None:
    key = make_key(engine, Scope.OPERATE, Scope.APPROVE)
    add_large_run(engine, key.split("_")[1])

    answer = guarded.post(APPROVE, headers=bearing(key))

    assert answer.status_code == 409
    assert answer.json()["type"] == "/docs#second-key-needed"
    assert [run.state for run in stored(engine, Run)] == ["paused"]


def test_to_operate_is_not_to_approve(guarded: TestClient, engine: Engine) -> None:
    add_large_run(engine, "starter")

    assert guarded.post(APPROVE, headers=bearing(make_key(engine, Scope.OPERATE))).status_code == 403
    assert guarded.post(APPROVE).status_code == 401


def test_a_run_that_awaits_none_is_not_approved(api: TestClient, engine: Engine) -> None:
    add_run(engine)

    answer = api.post(APPROVE)

    assert answer.status_code == 409
    assert answer.json()["type"] == "/docs#wrong-state"
    assert "it awaits no approval" in answer.json()["detail"]


def test_to_resume_it_is_refused_with_the_remedy(api: TestClient, engine: Engine) -> None:
    add_large_run(engine, "starter")

    answer = api.post("/api/v1/runs/lock_battery-spring/resume")

    assert answer.status_code == 409
    assert "somebody else than starter approves it" in answer.json()["detail"]


def test_the_run_says_what_it_waits_for(api: TestClient, engine: Engine) -> None:
    add_large_run(engine, "starter")

    run = api.get("/api/v1/runs/lock_battery-spring").json()["run"]

    assert (run["gate"], run["started_by"], run["approved_by"]) == ("approval", "starter", None)
