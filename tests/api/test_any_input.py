"""Whatever comes in, what goes out is an answer."""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from api.app import create_app
from api.parts import Parts
from db.tables import Acknowledgement, Click
from tests.api.conftest import LOCAL
from tests.api.rows import stored

TEXT = st.text(max_size=40) | st.text(st.characters(categories=["Cs", "Cc"]), max_size=3)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
MOMENT = st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()) | JSON
ACKS = st.fixed_dictionaries(
    {},
    optional={
        "message_id": st.uuids().map(str) | st.text(max_size=50) | JSON,
        "received_at": MOMENT,
        "token": st.text(max_size=80) | JSON,
        "more": JSON,
    },
)
ORDERS = st.fixed_dictionaries(
    {},
    optional={
        "campaign": st.just("lock_battery") | TEXT | JSON,
        "parameters": st.dictionaries(st.sampled_from(["ttl_seconds", "stale_after_days"]) | TEXT, JSON, max_size=3)
        | JSON,
        "limit": st.integers() | JSON,
    },
)
SCHEMES = st.sampled_from([b"Basic ", b"basic ", b"Bearer ", b""])
IS_JSON = {"Content-Type": "application/json"}
MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def api(parts: Parts) -> Iterator[TestClient]:
    """A mistake of ours fails the test; it is not hidden in a 500."""
    with TestClient(create_app(parts), raise_server_exceptions=True, base_url=LOCAL) as client:
        yield client


def test_any_body_of_an_acknowledgement_is_answered_precisely(api: TestClient, engine: Engine) -> None:
    @MANY
    @given(body=ACKS | JSON)
    def answered(body: object) -> None:
        answer = api.post("/api/v1/push/ack", content=json.dumps(body), headers=IS_JSON)
        assert answer.status_code in {403, 404, 422}
        assert answer.headers["content-type"] == "application/problem+json"

    answered()
    assert stored(engine, Acknowledgement) == []


def test_any_order_of_a_run_is_answered_precisely(api: TestClient) -> None:
    @MANY
    @given(body=ORDERS | JSON)
    def answered(body: object) -> None:
        answer = api.post("/api/v1/runs", content=json.dumps(body), headers=IS_JSON)
        assert answer.status_code in {200, 202, 404, 422}

    answered()


def test_any_bytes_as_an_acknowledgement_are_answered_precisely(api: TestClient) -> None:
    @MANY
    @given(body=st.binary(max_size=200), media_type=st.sampled_from(["application/json", "text/plain", "a/b+json", ""]))
    def answered(body: bytes, media_type: str) -> None:
        answer = api.post("/api/v1/push/ack", content=body, headers={"Content-Type": media_type})
        assert answer.status_code in {400, 422}
        assert answer.headers["content-type"] == "application/problem+json"

    answered()


def test_any_query_of_a_historical_click_is_stored_and_shows_no_error(parts: Parts, engine: Engine) -> None:
    values = st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | st.just(b"x" * 10_000)
    words = st.sampled_from([b"campaign_id", b"lock_id", b"user_id", b"event", b""])
    hits = 0

    with TestClient(create_app(replace(parts, public_requests_a_minute=10_000)), base_url=LOCAL) as patient:

        @MANY
        @given(pairs=st.lists(st.tuples(words, values), max_size=6), agent=st.binary(max_size=60))
        def answered(pairs: list[tuple[bytes, bytes]], agent: bytes) -> None:
            nonlocal hits
            query = "&".join(f"{quote_from_bytes(word)}={quote_from_bytes(value)}" for word, value in pairs)
            answer = patient.get(f"/?event=click&{query}", headers={b"User-Agent": agent})
            assert answer.status_code == 200
            assert "Thank you" in answer.text
            hits += 1

        answered()
    assert len(stored(engine, Click)) == hits


def test_any_token_of_a_link_is_answered_with_a_page(api: TestClient, engine: Engine) -> None:
    @MANY
    @given(token=st.binary(max_size=80).filter(lambda token: b"\n" not in token))  # no route has a line break
    def answered(token: bytes) -> None:
        answer = api.get(f"/c/{quote_from_bytes(token)}")
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")

    answered()
    assert stored(engine, Click) == []


def test_any_query_and_any_key_of_the_page_are_answered_with_a_page(parts: Parts, engine: Engine) -> None:
    values = (
        st.binary(max_size=60)
        | st.text(max_size=60).map(str.encode)
        | MOMENT.map(lambda moment: str(moment).encode(errors="replace"))
    )
    words = st.sampled_from([b"campaign", b"before", b"event", b""])
    given_keys = st.binary(max_size=40).map(b64encode) | st.binary(max_size=40)

    with TestClient(create_app(replace(parts, api_keys_required=True)), base_url=LOCAL) as guarded:

        @MANY
        @given(pairs=st.lists(st.tuples(words, values), max_size=4), scheme=SCHEMES, key=given_keys)
        def answered(pairs: list[tuple[bytes, bytes]], scheme: bytes, key: bytes) -> None:
            query = "&".join(f"{quote_from_bytes(word)}={quote_from_bytes(value)}" for word, value in pairs)
            refused = guarded.get(f"/?{query}", headers={b"Authorization": scheme + key})
            shown = api_of_all.get(f"/?{query}")
            assert refused.status_code in {200, 401}  # 200: a click
            assert shown.status_code in {200, 404, 422}
            assert {answer.headers["content-type"] for answer in (refused, shown)} == {"text/html; charset=utf-8"}

        with TestClient(create_app(replace(parts, public_requests_a_minute=10_000)), base_url=LOCAL) as api_of_all:
            answered()
