from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from api.bounds import BODY_BYTES, SECURITY_HEADERS
from api.parts import Parts
from tests.api.conftest import LOCAL, OpenApp
from tests.api.rows import away_from

ACK = "/api/v1/push/ack"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/assets/nothing.css", 404),
        ("GET", "/assets/../app.py", 404),
        ("DELETE", "/api/v1/runs", 405),
        ("POST", "/", 405),
        ("POST", "/c/token", 405),
        ("GET", "/api/v1/runs/nothing", 404),
        ("GET", "/api/v1/runs?limit=0", 422),
        ("GET", "/api/v1/runs?before=2026-11-23", 422),
    ],
)
def test_every_error_is_a_problem_that_says_what_to_do(api: TestClient, method: str, url: str, status: int) -> None:
    answer = api.request(method, url)

    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].startswith("/docs#")
    assert {"title", "detail", "instance"} <= set(answer.json())


def test_a_method_that_a_route_has_not_names_those_that_it_has(api: TestClient) -> None:
    assert "GET" in api.post("/healthz").headers["allow"]


def test_a_body_that_is_too_large_is_refused_before_it_is_read(api: TestClient) -> None:
    for method, url in (("POST", ACK), ("POST", "/api/v1/runs"), ("GET", "/"), ("POST", "/nowhere")):
        answer = api.request(method, url, content=b" " * (BODY_BYTES + 1), headers=JSON)
        assert answer.status_code == 413
        assert answer.json()["type"] == "/docs#too-large"


def test_a_body_of_undeclared_length_is_counted_while_it_comes(api: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(BODY_BYTES // 1024 + 1):
            yield b" " * 1024

    answer = api.post(ACK, content=chunks(), headers=JSON)

    assert "content-length" not in answer.request.headers
    assert answer.status_code == 413
    assert answer.json()["type"] == "/docs#too-large"


def test_a_body_of_the_largest_size_is_read(api: TestClient) -> None:
    assert api.post(ACK, content=b"{}".ljust(BODY_BYTES), headers=JSON).status_code == 422


def test_deep_nesting_is_refused_and_harms_nobody(api: TestClient) -> None:
    answer = api.post(ACK, content=b"[" * BODY_BYTES, headers=JSON)

    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_mistake_of_ours_says_nothing_about_our_inside(parts: Parts) -> None:
    app = create_app(parts)

    @app.get("/broken")
    def broken() -> None:
        raise LookupError("the secret of the vault")

    with TestClient(app, raise_server_exceptions=False, base_url=LOCAL) as api:
        answer = api.get("/broken")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "vault" not in answer.text
    assert "LookupError" not in answer.text


def test_a_database_that_is_away_is_no_mistake_of_the_caller(open_app: OpenApp, parts: Parts, engine: Engine) -> None:
    answer = open_app(replace(parts, engine=away_from(engine))).get("/api/v1/runs")

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["type"] == "/docs#database-unavailable"


@pytest.mark.parametrize("url", ["/", "/docs", "/healthz", "/nowhere", "/c/forged", "/metrics", "/openapi.json"])
def test_every_answer_carries_the_security_headers(api: TestClient, url: str) -> None:
    headers = api.get(url).headers

    assert {name: headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
