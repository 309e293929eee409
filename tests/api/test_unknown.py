"""What nobody knows, over HTTP: the list with its evidence, and the verdict."""

from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from db.tables import AuditEntry
from tests.api.rows import stored
from tests.api.temporal_double import TemporalDouble
from tests.db.scene import UNKNOWN, Scene, a_plan
from tests.fakes import a_person


@pytest.fixture
def scene(engine: Engine) -> Scene:
    return Scene(engine)


@pytest.fixture
def run_id(scene: Scene) -> UUID:
    """Its first two messages have ended as unknown, the third is sent."""
    run_id = scene.opened(*(a_person(number) for number in range(3)), plan=a_plan(retries_unknown=False))
    first, second, third = scene.ids(run_id)
    for message_id in (first, second):
        scene.send(message_id, outcome=UNKNOWN)
    scene.send(third)
    return run_id


def test_the_unknown_are_listed_in_pages_with_their_evidence(api: TestClient, run_id: UUID, scene: Scene) -> None:
    first = api.get(f"/api/v1/runs/{run_id}/unknown", params={"limit": 1}).json()
    second = api.get(first["next"]).json()
    assert api.get(second["next"]).json() == {"messages": [], "next": None}
    listed = [each["message_id"] for page in (first, second) for each in page["messages"]]
    assert listed == sorted(map(str, scene.ids(run_id)[:2]))
    [a_try] = first["messages"][0]["tries"]
    assert (a_try["channel"], a_try["error_code"], a_try["in_report"]) == ("fcm", "cut", "no_report")
    assert a_try["said"][0] == "fcm shows a repeated try as a second message"
    assert "token:" not in str(first)


def test_a_retry_is_committed_and_then_the_sweep_is_woken(
    api: TestClient, run_id: UUID, scene: Scene, temporal: TemporalDouble, engine: Engine
) -> None:
    message_id = scene.ids(run_id)[0]
    answer = api.post(f"/api/v1/runs/{run_id}/messages/{message_id}/verdict", json={"verdict": "retry"})
    assert answer.status_code == 200
    assert answer.json() == {"message_id": str(message_id), "verdict": "retry", "state": "planned"}
    assert [temporal.next_signal()[1] for _ in range(2)] == ["run_changed", "trigger"]
    assert [entry.actor for entry in stored(engine, AuditEntry) if entry.action == "judge"] == ["local"]
    assert api.get(f"/api/v1/runs/{run_id}/proof").status_code == 200


def test_a_verdict_that_cannot_be_given_is_refused(api: TestClient, run_id: UUID, scene: Scene) -> None:
    unknown, _, sent = scene.ids(run_id)

    def judged(message_id: UUID, body: object) -> tuple[int, str]:
        answer = api.post(f"/api/v1/runs/{run_id}/messages/{message_id}/verdict", json=body)
        return answer.status_code, answer.json()["type"]

    assert judged(sent, {"verdict": "retry"}) == (409, "/docs#not-unknown")
    assert judged(uuid4(), {"verdict": "retry"}) == (404, "/docs#no-such-message")
    assert judged(unknown, {"verdict": "lost"}) == (422, "/docs#malformed")
    assert judged(unknown, {}) == (422, "/docs#malformed")
    scene.set(run_id, state="cancelled")
    assert judged(unknown, {"verdict": "retry"}) == (409, "/docs#wrong-state")
    assert scene.message(unknown).state == "unknown"
