from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from db.audience import close_snapshot
from db.engine import transaction
from db.tables import Message
from domain.states import RunState
from tests.api.rows import add_run, add_sent_message
from tests.api.temporal_double import TemporalDouble

RUNS = "/api/v1/runs"
ORDER = {"campaign": "lock_battery", "parameters": {"ttl_seconds": 3600}}
KEY = {"Idempotency-Key": "spring"}


def test_a_run_is_started_on_temporal_and_says_where_to_look(api: TestClient, temporal: TemporalDouble) -> None:
    answer = api.post(RUNS, json=ORDER | {"limit": 20}, headers=KEY)

    assert answer.status_code == 202
    assert answer.json()["workflow_id"] == "run:lock_battery-spring"
    assert answer.json()["already"] is False
    assert answer.headers["location"] == answer.json()["status_url"] == f"{RUNS}/{answer.json()['run_id']}"
    assert list(temporal.started) == ["run:lock_battery-spring"]


def test_the_same_key_again_is_the_same_run(api: TestClient, temporal: TemporalDouble) -> None:
    first = api.post(RUNS, json=ORDER, headers=KEY)
    again = api.post(RUNS, json=ORDER, headers=KEY)

    assert again.status_code == 200
    assert again.json() == first.json() | {"already": True}
    assert len(temporal.started) == 1


def test_a_key_that_was_used_with_other_parameters_is_refused(api: TestClient, engine: Engine) -> None:
    api.post(RUNS, json=ORDER, headers=KEY)
    add_run(engine, "spring")

    assert api.post(RUNS, json=ORDER, headers=KEY).status_code == 200
    other = api.post(RUNS, json={"campaign": "lock_battery", "parameters": {"ttl_seconds": 60}}, headers=KEY)
    assert other.status_code == 409
    assert other.json()["type"] == "/docs#idempotency-key-used"


def test_a_key_that_was_used_with_another_launch_is_refused(api: TestClient) -> None:
    careful = ORDER | {"launch": {"undo_seconds": 60}}
    assert api.post(RUNS, json=careful, headers=KEY).status_code == 202

    assert api.post(RUNS, json=careful, headers=KEY).status_code == 200
    other = api.post(RUNS, json=ORDER | {"launch": {"undo_seconds": 5}}, headers=KEY)
    assert other.status_code == 409
    assert "with another canary or undo window" in other.json()["detail"]


def test_a_start_while_temporal_is_away_says_when_to_try_again(api: TestClient, temporal: TemporalDouble) -> None:
    temporal.away = True
    answer = api.post(RUNS, json=ORDER, headers=KEY)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    temporal.away = False
    assert api.post(RUNS, json=ORDER, headers=KEY).status_code == 202


@pytest.mark.parametrize("away", [False, True])
def test_an_unknown_campaign_names_those_that_are_known(api: TestClient, temporal: TemporalDouble, away: bool) -> None:
    temporal.away = away

    answer = api.post(RUNS, json={"campaign": "lock_batery"})

    assert answer.status_code == 404
    assert "lock_battery" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"campaign": "lock_battery", "parameters": {"ttl_seconds": 0}}, "body.parameters.ttl_seconds"),
        ({"campaign": "lock_battery", "parameters": {"ttl": 60}}, "body.parameters.ttl"),
        ({"campaign": "lock_battery", "limit": 0}, "body.limit"),
        ({"campaign": "lock_battery", "launch": {"canary_percent": 100}}, "body.launch.canary_percent"),
        ({"campaign": "lock_battery", "launch": {"undo_seconds": 0}}, "body.launch.undo_seconds"),
        ({"campaign": "lock_battery", "launch": {"approval_above": 10**9}}, "body.launch.approval_above"),
        ({"campaign": "lock_battery", "limit": 2**40}, "body.limit"),
        ({"parameters": {}}, "body.campaign"),
        ({"campaign": "lock_battery", "start_at": "now"}, "body.start_at"),
    ],
)
def test_a_malformed_start_names_the_field(api: TestClient, body: dict[str, object], field: str) -> None:
    answer = api.post(RUNS, json=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_key_that_cannot_be_part_of_an_id_is_refused(api: TestClient) -> None:
    for key in ("a b", "x" * 101, "../x"):
        answer = api.post(RUNS, json=ORDER, headers={"Idempotency-Key": key})
        assert answer.status_code == 422
        assert answer.json()["type"] == "/docs#bad-idempotency-key"


def test_runs_are_listed_in_pages_with_the_newest_first(api: TestClient, engine: Engine) -> None:
    for slot in ("one", "two", "three"):
        add_run(engine, slot)

    first = api.get(RUNS, params={"limit": 2}).json()
    second = api.get(first["next"]).json()

    assert [run["slot"] for run in first["runs"]] == ["three", "two"]
    assert [run["slot"] for run in second["runs"]] == ["one"]
    assert second["next"] is None


def test_a_run_is_shown_by_any_of_its_names(api: TestClient, engine: Engine) -> None:
    sent = add_sent_message(engine)

    for name in (str(sent.run_id), str(sent.run_id)[:8], sent.workflow_id, "lock_battery-spring"):
        answer = api.get(f"{RUNS}/{name}").json()
        assert answer["run"]["id"] == str(sent.run_id)
        assert answer["progress"]["states"] == {"sent": 1}
        assert answer["progress"]["attempts"] == {"fcm": {"sent": 1}}


def test_a_run_shows_what_its_snapshot_left_out_and_what_deserves_a_look(api: TestClient, engine: Engine) -> None:
    run_id, _ = add_run(engine, state=RunState.QUEUED, targeted=None)
    left_out, noted = {"fresh": 7, "unmapped": 3}, {"never_checked": 2, "unreadable": 1, "without_token": 4}
    with transaction(engine) as session:
        close_snapshot(session, run_id, left_out, noted)
    shown = api.get(f"{RUNS}/{run_id}").json()["run"]
    assert (shown["targeted"], shown["left_out"], shown["noted"]) == (0, left_out, noted)


@pytest.mark.parametrize("name", ["nothing", str(uuid4()), "run:lock_battery-never"])
@pytest.mark.parametrize("route", ["", "/proof", "/messages", f"/messages/{uuid4()}"])
def test_an_unknown_run_is_not_found(api: TestClient, name: str, route: str) -> None:
    answer = api.get(f"{RUNS}/{name}{route}")

    assert answer.status_code == 404
    assert answer.json()["type"] == "/docs#no-such-run"


@pytest.mark.parametrize("name", ["%00", "a%20b", "x" * 256, "%F0%9F%94%92"])
def test_what_cannot_name_a_run_is_malformed(api: TestClient, name: str) -> None:
    assert api.get(f"{RUNS}/{name}").status_code == 422


def test_a_ledger_that_balances_is_proven(api: TestClient, engine: Engine) -> None:
    sent = add_sent_message(engine)

    answer = api.get(f"{RUNS}/{sent.run_id}/proof")

    assert answer.status_code == 200
    assert answer.json()["balanced"] is True


def test_a_ledger_that_does_not_balance_is_a_conflict_that_shows_the_differences(
    api: TestClient, engine: Engine
) -> None:
    sent = add_sent_message(engine)
    with transaction(engine) as session:
        session.execute(update(Message).values(state="planned"))

    answer = api.get(f"{RUNS}/{sent.run_id}/proof")

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["balanced"] is False
    assert [each["message_id"] for each in answer.json()["differences"]] == [str(sent.message_id)]


def test_messages_are_paged_and_chosen_by_state(api: TestClient, engine: Engine) -> None:
    sent = add_sent_message(engine)
    messages = f"{RUNS}/{sent.run_id}/messages"

    page = api.get(messages, params={"state": "sent", "limit": 1}).json()

    assert [each["id"] for each in page["messages"]] == [str(sent.message_id)]
    assert api.get(page["next"]).json() == {"messages": [], "next": None}
    assert api.get(messages, params={"state": "expired"}).json()["messages"] == []
    assert api.get(messages, params={"state": "lost"}).status_code == 422


def test_a_message_tells_its_whole_story(api: TestClient, engine: Engine) -> None:
    sent = add_sent_message(engine)

    story = api.get(f"{RUNS}/{sent.run_id}/messages/{sent.message_id}")
    other = api.get(f"{RUNS}/{sent.run_id}/messages/{uuid4()}")

    assert [attempt["channel"] for attempt in story.json()["attempts"]] == ["fcm"]
    assert "token-1" not in story.text
    assert other.status_code == 404
    assert other.json()["type"] == "/docs#no-such-message"


def test_campaigns_are_listed_with_what_they_take(api: TestClient) -> None:
    [campaign] = [each for each in api.get("/api/v1/campaigns").json() if each["name"] == "lock_battery"]

    assert campaign["schedule"] == {"cron": "0 9 * * MON", "zone": "UTC", "missed_runs": "late:10m"}
    assert "stale_after_days" in campaign["parameters"]["properties"]
