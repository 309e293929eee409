"""`/api/v1/suppressions`."""

import json
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from api.parts import Parts
from db.api_keys import Scope
from db.tables import AuditEntry, Suppression
from domain.persons import PERSON
from domain.suppression_list import Entry, read_list
from tests.api.conftest import OpenApp
from tests.api.rows import stored
from tests.api.test_any_input import IS_JSON, JSON, MANY, TEXT
from tests.api.test_keys import bearing, make_key
from tests.db.scene import HASHER

LIST = "/api/v1/suppressions"
ADA = {"channel": "email", "address": "Ada@Mail.example"}
HASH = HASHER("email", "ada@mail.example")


def test_an_address_is_put_on_the_list_and_taken_off_again(api: TestClient, engine: Engine) -> None:
    first, second = api.post(LIST, json=ADA | {"reason": "opted_out"}), api.post(LIST, json=ADA)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["suppression"]["address_hash"] == HASH
    assert (first.json()["already"], second.json()["already"]) == (False, True)
    assert "ada@" not in first.text.lower()
    lifted = api.request("DELETE", LIST, json=ADA)
    assert (lifted.status_code, lifted.json()["reason"]) == (200, "opted_out")
    assert stored(engine, Suppression) == []
    assert [(each.actor, each.action) for each in stored(engine, AuditEntry)] == [
        ("local", "suppress"),
        ("local", "lift"),
    ]


def test_an_entry_can_be_taken_off_by_its_hash_as_the_list_shows_it(api: TestClient) -> None:
    api.post(LIST, json={"channel": PERSON, "address": "person-1"})
    [entry] = api.get(LIST).json()["suppressions"]

    answer = api.request("DELETE", LIST, json={"channel": PERSON, "address_hash": entry["address_hash"]})

    assert answer.status_code == 200
    assert api.get(LIST).json() == {"suppressions": [], "next": None}


def test_what_is_not_on_the_list_cannot_be_taken_off(api: TestClient) -> None:
    answer = api.request("DELETE", LIST, json=ADA)
    assert (answer.status_code, answer.json()["type"]) == (404, "/docs#not-suppressed")


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        ({"channel": "emial", "address": "ada@mail.example"}, "bad-address"),
        ({"channel": "sms", "address": "0770"}, "bad-address"),
        (ADA | {"reason": "said so on the phone"}, "bad-reason"),
        ({"channel": "email"}, "malformed"),
        (ADA | {"run_id": 1}, "malformed"),
    ],
)
def test_a_wrong_word_is_refused_and_nothing_is_stored(
    api: TestClient, engine: Engine, order: dict[str, object], kind: str
) -> None:
    answer = api.post(LIST, json=order)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/docs#{kind}")
    assert stored(engine, Suppression) == []


@pytest.mark.parametrize("which", [{}, {"address": "ada@mail.example", "address_hash": HASH}])
def test_to_take_off_needs_the_address_or_its_hash(api: TestClient, which: dict[str, str]) -> None:
    answer = api.request("DELETE", LIST, json={"channel": "email"} | which)
    assert answer.status_code == 422
    assert "either address or address_hash" in answer.json()["detail"]


def test_the_list_comes_in_pages_that_name_the_next(api: TestClient) -> None:
    for number in range(5):
        api.post(LIST, json={"channel": "fcm", "address": f"token-{number}"})
    api.post(LIST, json=ADA)

    found, url = [], f"{LIST}?limit=2&channel=fcm"
    while url:
        page = api.get(url).json()
        found += [each["address_hash"] for each in page["suppressions"]]
        url = page["next"]

    assert found == [HASHER("fcm", f"token-{number}") for number in (4, 3, 2, 1, 0)]


def test_the_export_is_what_an_import_reads(api: TestClient) -> None:
    api.post(LIST, json=ADA)
    api.post(LIST, json={"channel": PERSON, "address": "person-1"})

    answer = api.get(f"{LIST}/export")

    assert answer.headers["content-type"].startswith("text/csv")
    entries = list(read_list(answer.content.splitlines(keepends=True), HASHER))
    assert all(isinstance(each, Entry) for each in entries)
    assert {each.channel for each in entries if isinstance(each, Entry)} == {"email", PERSON}


def test_it_is_for_keys_with_the_scope_people_alone(open_app: OpenApp, parts: Parts, engine: Engine) -> None:
    api = open_app(replace(parts, api_keys_required=True))
    others = bearing(make_key(engine, Scope.VIEW, Scope.OPERATE))
    people = bearing(make_key(engine, Scope.PEOPLE))

    for method, url in (("GET", LIST), ("POST", LIST), ("DELETE", LIST), ("GET", f"{LIST}/export")):
        body = ADA if method != "GET" else None
        assert api.request(method, url, json=body).status_code == 401
        assert api.request(method, url, json=body, headers=others).status_code == 403
    assert api.post(LIST, json=ADA, headers=people).status_code == 201


def test_any_order_is_answered_precisely(api: TestClient) -> None:
    texts = TEXT | st.sampled_from(["email", "sms", "fcm", PERSON, "ada@mail.example", "+447700900123"]) | JSON
    orders = st.dictionaries(st.sampled_from(["channel", "address", "address_hash", "reason"]), texts) | JSON

    @MANY
    @given(order=orders, method=st.sampled_from(["POST", "DELETE"]))
    def answered(order: object, method: str) -> None:
        answer = api.request(method, LIST, content=json.dumps(order), headers=IS_JSON)
        assert answer.status_code in {200, 201, 404, 422}

    answered()


@pytest.mark.parametrize(
    "query", ["after=x", "after=~~", "after=2026-11-21~a~b", "channel=%00", "reason=%00", "limit=0"]
)
def test_a_query_that_is_none_is_refused(api: TestClient, query: str) -> None:
    assert api.get(f"{LIST}?{query}").status_code == 422
