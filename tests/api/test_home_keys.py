"""Who may see the page of figures, and what a key that a browser sends by itself opens besides: nothing."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.parts import Parts
from db.api_keys import Scope
from db.tables import Click, Run
from domain.states import RunState
from tests.api.conftest import OpenApp
from tests.api.measured_rows import Course, add_measured_run
from tests.api.rows import add_run, stored
from tests.api.test_clicks import PHONE, historical
from tests.api.test_keys import bearing, make_key

SMALL = Course(sent=2, held_out=0, failed=0)


def basic(password: str, user: str = "anybody") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def guarded(open_app: OpenApp, parts: Parts) -> TestClient:
    return open_app(replace(parts, api_keys_required=True))


def test_without_a_key_a_browser_is_asked_for_one(guarded: TestClient, engine: Engine) -> None:
    add_measured_run(engine, course=SMALL)

    answer = guarded.get("/")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="Drumbeat"'
    assert "lock_battery" not in answer.text
    assert "--scope" in answer.text


def test_a_key_is_taken_as_the_password_whatever_the_user_is_called(guarded: TestClient, engine: Engine) -> None:
    key = make_key(engine, Scope.VIEW)

    for headers in (basic(key), basic(key, ""), basic(key, "ada"), bearing(key)):
        answer = guarded.get("/", headers=headers)
        assert answer.status_code == 200
        assert "lock_battery" in answer.text
        assert answer.headers["cache-control"] == "no-store"


def test_a_key_that_may_not_view_is_asked_for_again(guarded: TestClient, engine: Engine) -> None:
    """401, not 403: a browser asks for another password only then."""
    answer = guarded.get("/", headers=basic(make_key(engine, Scope.OPERATE)))

    assert answer.status_code == 401
    assert "has not the scope view" in answer.text


@pytest.mark.parametrize(
    "given",
    ["Basic", "Basic ", "Basic x", "Basic eDp5", "Basic =", "Basic w7w6w7w=", "Basic /////w==", "Bearer", "Digest x"],
)
def test_what_is_no_key_opens_nothing(guarded: TestClient, given: str) -> None:
    assert guarded.get("/", headers={"Authorization": given}).status_code == 401


def test_a_user_name_is_no_key(guarded: TestClient, engine: Engine) -> None:
    assert guarded.get("/", headers=basic("", make_key(engine, Scope.VIEW))).status_code == 401


def test_basic_opens_this_page_alone(guarded: TestClient, engine: Engine) -> None:
    """A browser sends it by itself, also with a request that another site's page makes."""
    run_id, _ = add_run(engine)
    headers = basic(make_key(engine, *Scope))

    assert guarded.get("/", headers=headers).status_code == 200
    described: dict[str, dict[str, object]] = guarded.get("/openapi.json").json()["paths"]
    keyed = [(path, method) for path, method in _operations(described) if _needs_key(described[path][method])]
    assert len(keyed) > 8
    for path, method in keyed:
        url = path.replace("{reference}", str(run_id)).replace("{name}", "lock_battery")
        answer = guarded.request(method, url, headers=headers, json={})
        assert answer.status_code in {401, 422}, (method, path)
    assert guarded.post(f"/api/v1/runs/{run_id}/pause", headers=headers).status_code == 401
    assert [run.state for run in stored(engine, Run)] == [RunState.RUNNING]


def _operations(described: dict[str, dict[str, object]]) -> Sequence[tuple[str, str]]:
    return [(path, method) for path, methods in described.items() for method in methods]


def _needs_key(operation: object) -> bool:
    return isinstance(operation, dict) and "security" in operation


def test_a_click_in_the_historical_form_needs_no_key_and_shows_no_error(
    open_app: OpenApp, parts: Parts, engine: Engine
) -> None:
    api = open_app(replace(parts, api_keys_required=True))

    for more in ({}, basic("wrong"), bearing("wrong")):
        for url in (historical(campaign_id="x"), historical(campaign="nothing", before="never")):
            answer = api.get(url, headers=PHONE | more)
            assert answer.status_code == 200
            assert "Thank you" in answer.text
    assert len(stored(engine, Click)) == 6
