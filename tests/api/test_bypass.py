"""A run past people's frequency caps: by a key that may, and audited as a thing of its own."""

from dataclasses import replace
from operator import attrgetter

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.parts import Parts
from db.api_keys import Scope
from db.tables import AuditEntry, Run
from tests.api.conftest import OpenApp
from tests.api.rows import stored
from tests.api.temporal_double import TemporalDouble
from tests.api.test_keys import bearing, make_key

RUNS = "/api/v1/runs"
ORDER = {"campaign": "lock_battery", "bypass_frequency_caps": True}
KEY = {"Idempotency-Key": "spring"}


@pytest.fixture
def guarded(open_app: OpenApp, parts: Parts) -> TestClient:
    return open_app(replace(parts, api_keys_required=True))


def audited(engine: Engine) -> list[str]:
    return [entry.action for entry in sorted(stored(engine, AuditEntry), key=attrgetter("id"))]


def test_a_key_that_may_only_operate_is_refused_before_anything_is_started(
    guarded: TestClient, engine: Engine, temporal: TemporalDouble
) -> None:
    answer = guarded.post(RUNS, json=ORDER, headers=bearing(make_key(engine, Scope.OPERATE)))

    assert answer.status_code == 403
    assert answer.json()["type"] == "/docs#missing-scope"
    assert "has not the scope 'bypass': make" in answer.json()["detail"]
    assert temporal.started == {}
    assert stored(engine, Run) == []


def test_the_scope_bypass_alone_starts_nothing(guarded: TestClient, engine: Engine) -> None:
    answer = guarded.post(RUNS, json=ORDER, headers=bearing(make_key(engine, Scope.BYPASS)))
    assert (answer.status_code, "'operate'" in answer.json()["detail"]) == (403, True)


def test_with_both_scopes_it_is_in_the_plan_and_an_entry_of_its_own(
    guarded: TestClient, engine: Engine, temporal: TemporalDouble
) -> None:
    key = make_key(engine, Scope.OPERATE, Scope.BYPASS)
    answer = guarded.post(RUNS, json=ORDER, headers=bearing(key))

    assert answer.status_code == 202
    [run] = stored(engine, Run)
    assert run.plan["bypass_frequency_caps"] is True
    [order] = [started["order"] for started in temporal.started.values()]
    assert order.bypass_frequency_caps is True
    assert audited(engine) == ["start", "bypass_frequency_caps"]
    assert {entry.actor for entry in stored(engine, AuditEntry)} == {key.split("_")[1]}


def test_an_ordinary_start_is_no_bypass(api: TestClient, engine: Engine) -> None:
    assert api.post(RUNS, json={"campaign": "lock_battery"}).status_code == 202
    [run] = stored(engine, Run)
    assert run.plan["bypass_frequency_caps"] is False
    assert audited(engine) == ["start"]


@pytest.mark.parametrize("first", [True, False])
def test_a_key_that_is_used_again_must_ask_for_the_same(api: TestClient, engine: Engine, *, first: bool) -> None:
    def start(*, bypass: bool) -> tuple[int, str]:
        answer = api.post(RUNS, json=ORDER | {"bypass_frequency_caps": bypass}, headers=KEY)
        return answer.status_code, answer.json().get("type", "")

    assert [start(bypass=first), start(bypass=first)] == [(202, ""), (200, "")]
    assert start(bypass=not first) == (409, "/docs#idempotency-key-used")
    assert audited(engine).count("bypass_frequency_caps") == int(first)


def test_a_run_shows_that_it_bypasses_the_caps(api: TestClient) -> None:
    started = api.post(RUNS, json=ORDER, headers=KEY).json()
    assert api.get(started["status_url"]).json()["run"]["bypass_frequency_caps"] is True


def test_what_is_neither_yes_nor_no_is_malformed(api: TestClient) -> None:
    answer = api.post(RUNS, json=ORDER | {"bypass_frequency_caps": "perhaps"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.bypass_frequency_caps"
