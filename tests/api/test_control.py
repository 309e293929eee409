import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from db.tables import AuditEntry, Run
from domain.states import RunState
from tests.api.rows import add_run, add_sent_message, stored
from tests.api.temporal_double import TemporalDouble


def control(name: str) -> str:
    return f"/api/v1/runs/lock_battery-spring/{name}"


def states(engine: Engine) -> list[str]:
    return [run.state for run in stored(engine, Run)]


def test_a_pause_is_committed_and_then_the_run_is_nudged(
    api: TestClient, engine: Engine, temporal: TemporalDouble
) -> None:
    sent = add_sent_message(engine)

    answer = api.post(control("pause"))

    assert answer.status_code == 200
    assert answer.json() == {"run_id": str(sent.run_id), "in_flight": 0, "already": False}
    assert states(engine) == ["paused"]
    assert temporal.next_signal() == (sent.workflow_id, "run_changed")
    assert [(entry.actor, entry.action) for entry in stored(engine, AuditEntry)] == [("local", "pause")]


def test_a_repeated_pause_is_answered_as_such(api: TestClient, engine: Engine) -> None:
    add_run(engine)
    api.post(control("pause"))

    again = api.post(control("pause"))

    assert again.status_code == 200
    assert again.json()["already"] is True


def test_a_resume_nudges_the_run_and_wakes_the_sweep(api: TestClient, engine: Engine, temporal: TemporalDouble) -> None:
    _, workflow_id = add_run(engine)
    api.post(control("pause"))
    assert temporal.next_signal() == (workflow_id, "run_changed")

    answer = api.post(control("resume"), json={"policy": "shift"})

    assert answer.status_code == 200
    assert answer.json()["paused_seconds"] > 0
    assert states(engine) == ["running"]
    assert {temporal.next_signal(), temporal.next_signal()} == {(workflow_id, "run_changed"), ("sweep", "trigger")}


def test_a_resume_answers_by_its_policy_with_counts(api: TestClient, engine: Engine) -> None:
    sent = add_sent_message(engine)
    api.post(control("pause"))

    assert api.get(control("resume-preview")).json()["policies"] == [
        {"policy": "shift", "awaiting": 1, "next_rung": 0, "ended": 0},
        {"policy": "keep", "awaiting": 1, "next_rung": 0, "ended": 0},
        {"policy": "expire_overdue", "awaiting": 1, "next_rung": 0, "ended": 0},
    ]
    assert api.post(control("resume"), json={"policy": "keep"}).json() == {
        "run_id": str(sent.run_id),
        "policy": "keep",
        "paused_seconds": 0.0,
        "held": 0,
        "awaiting": 1,
        "overdue": 0,
        "ended": 0,
        "waits_for": None,
    }
    audit = [entry.details for entry in stored(engine, AuditEntry) if entry.action == "resume"]
    assert [details["policy"] for details in audit] == ["keep"]


def test_the_resume_of_a_run_that_is_not_paused_cannot_be_previewed(api: TestClient, engine: Engine) -> None:
    add_run(engine)

    answer = api.get(control("resume-preview"))

    assert answer.status_code == 409
    assert answer.json()["type"] == "/docs#wrong-state"
    assert "only a paused run" in answer.json()["detail"]


def test_stops_hold_while_temporal_is_away(api: TestClient, engine: Engine, temporal: TemporalDouble) -> None:
    temporal.away = True
    add_run(engine)

    assert api.post(control("pause")).status_code == 200
    assert states(engine) == ["paused"]
    assert api.post(control("cancel")).status_code == 200
    assert states(engine) == ["cancelled"]


def test_a_cancel_says_what_is_still_awaited(api: TestClient, engine: Engine) -> None:
    sent = add_sent_message(engine)

    answer = api.post(control("cancel"))

    assert answer.json() == {
        "run_id": str(sent.run_id),
        "withdrawn": 0,
        "awaiting": 1,
        "in_flight": 0,
        "already": False,
    }
    assert api.post(control("cancel")).json()["already"] is True


def test_a_run_that_is_not_paused_cannot_be_resumed(api: TestClient, engine: Engine) -> None:
    add_run(engine)

    answer = api.post(control("resume"))

    assert answer.status_code == 409
    assert answer.json()["type"] == "/docs#wrong-state"
    assert answer.json()["state"] == "running"


def test_a_run_that_has_ended_cannot_be_paused(api: TestClient, engine: Engine) -> None:
    add_run(engine, state=RunState.CLOSED)

    assert api.post(control("pause")).status_code == 409


def test_a_release_lets_more_go_and_never_takes_any_back(
    api: TestClient, engine: Engine, temporal: TemporalDouble
) -> None:
    _, workflow_id = add_run(engine, targeted=100, released_up_to=10)

    assert api.post(control("release"), json={"up_to": 20}).json()["released"] == 20
    assert temporal.next_signal() == (workflow_id, "run_changed")
    assert api.post(control("release"), json={"up_to": 10}).status_code == 409
    assert api.post(control("release"), json={"up_to": None}).json()["released"] == 100


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("resume", {"policy": "forget"}, "body.policy"),
        ("release", {"up_to": 0}, "body.up_to"),
        ("release", {"up_to": 2**40}, "body.up_to"),
        ("release", {}, "body.up_to"),
    ],
)
def test_a_malformed_order_names_the_field(
    api: TestClient, engine: Engine, name: str, body: dict[str, object], field: str
) -> None:
    add_run(engine)

    answer = api.post(control(name), json=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("name", ["pause", "resume", "cancel"])
def test_an_unknown_run_cannot_be_changed(api: TestClient, name: str) -> None:
    assert api.post(control(name)).status_code == 404
