from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.parts import Parts
from db.api_keys import Scope, create_key, find_key
from db.engine import transaction
from db.tables import ApiKey, AuditEntry
from domain.tokens import Signer
from tests.api.conftest import OpenApp
from tests.api.rows import add_run, add_sent_message, stored

RUNS = "/api/v1/runs"


def make_key(engine: Engine, *scopes: Scope, expires_at: datetime | None = None) -> str:
    with transaction(engine) as session:
        return create_key(session, "night shift", scopes, expires_at)


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def guarded(open_app: OpenApp, parts: Parts) -> TestClient:
    return open_app(replace(parts, api_keys_required=True))


def test_a_key_is_shown_once_and_only_its_hash_is_kept(engine: Engine) -> None:
    key = make_key(engine, Scope.VIEW)

    [row] = stored(engine, ApiKey)
    prefix, key_id, secret = key.split("_", 2)
    assert (prefix, key_id) == ("drum", row.id)
    assert secret not in repr(vars(row))
    with transaction(engine) as session:
        known = find_key(session, key)
    assert known is not None
    assert (known.name, sorted(known.scopes)) == ("night shift", ["view"])


def test_a_key_without_a_scope_is_not_made(engine: Engine) -> None:
    with pytest.raises(ValueError, match="view, operate, approve, bypass, people, ack"):
        make_key(engine)


@pytest.mark.parametrize("text", ["", "drum", "drum_", "drum__", "drum_\0_x", "drüm_a_b", "key_ab_cd", "_" * 9])
def test_what_is_not_a_key_is_not_found(engine: Engine, text: str) -> None:
    with transaction(engine) as session:
        assert find_key(session, text) is None


def test_without_a_key_nothing_is_shown(guarded: TestClient) -> None:
    for given in ("", "Basic eDp5", "Bearer", "Bearer drum_00000000_wrong", "Bearer ü"):
        answer = guarded.get(RUNS, headers={b"Authorization": given.encode()})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"] == "/docs#no-valid-key"


def test_a_wrong_secret_and_an_expired_key_open_nothing(guarded: TestClient, engine: Engine) -> None:
    right = make_key(engine, Scope.VIEW)
    expired = make_key(engine, Scope.VIEW, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    unexpired = make_key(engine, Scope.VIEW, expires_at=datetime.now(UTC) + timedelta(hours=1))

    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    answers = [guarded.get(RUNS, headers=bearing(key)).status_code for key in (right, unexpired, wrong, expired)]

    assert answers == [200, 200, 401, 401]


@pytest.mark.parametrize(
    ("scopes", "view", "operate"),
    [([Scope.VIEW], 200, 403), ([Scope.OPERATE], 403, 200), ([Scope.ACK], 403, 403)],
)
def test_a_key_opens_what_its_scopes_say(
    *, guarded: TestClient, engine: Engine, scopes: Collection[Scope], view: int, operate: int
) -> None:
    run_id, _ = add_run(engine)
    headers = bearing(make_key(engine, *scopes))

    assert guarded.get(f"{RUNS}/{run_id}", headers=headers).status_code == view
    assert guarded.get("/metrics", headers=headers).status_code == view
    assert guarded.post(f"{RUNS}/{run_id}/pause", headers=headers).status_code == operate


def test_the_audit_log_names_the_key(guarded: TestClient, engine: Engine) -> None:
    run_id, _ = add_run(engine)
    key = make_key(engine, Scope.OPERATE)

    guarded.post(f"{RUNS}/{run_id}/pause", headers=bearing(key))

    assert [entry.actor for entry in stored(engine, AuditEntry)] == [key.split("_")[1]]


def test_a_device_acknowledges_with_its_token_or_with_a_key(
    guarded: TestClient, engine: Engine, signer: Signer
) -> None:
    sent = add_sent_message(engine)
    body = {"message_id": str(sent.attempt_id), "received_at": datetime.now(UTC).isoformat()}
    ack, view = bearing(make_key(engine, Scope.ACK)), bearing(make_key(engine, Scope.VIEW))
    token = {"token": signer.ack_token(sent.attempt_id)}

    url = "/api/v1/push/ack"
    assert guarded.post(url, json=body).status_code == 401
    assert guarded.post(url, json=body, headers=view).status_code == 403
    assert guarded.post(url, json=body | {"token": signer.ack_token(uuid4())}, headers=ack).status_code == 403
    assert guarded.post(url, json=body, headers=ack).json()["first"] is True
    assert guarded.post(url, json=body | token).json()["first"] is False


def test_links_and_health_ask_for_no_key(guarded: TestClient) -> None:
    for url in ("/?event=click", "/healthz", "/readyz", "/docs", "/openapi.json"):
        assert guarded.get(url).status_code == 200


def test_a_key_that_is_given_must_be_right_also_where_none_is_asked(api: TestClient) -> None:
    assert api.get(RUNS).status_code == 200
    assert api.get(RUNS, headers=bearing("drum_00000000_wrong")).status_code == 401


def test_another_sites_page_may_not_steer_a_stack_that_asks_for_no_key(api: TestClient, engine: Engine) -> None:
    run_id, _ = add_run(engine)
    own, foreign = str(api.base_url).rstrip("/"), "https://elsewhere.example"
    refused = api.post(f"{RUNS}/{run_id}/pause", headers={"origin": foreign})
    assert refused.status_code == 403
    assert refused.json()["type"].endswith("foreign-page")
    assert api.post(f"{RUNS}/{run_id}/pause", headers={"origin": own}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000"])
def test_without_keys_a_name_that_was_bound_to_this_address_is_refused(
    open_app: OpenApp, parts: Parts, host: str
) -> None:
    """A page of that site, open in the operator's browser, would else be of the same origin."""
    api = open_app(parts)
    assert api.get(RUNS, headers={"Host": host}).status_code == 403
    assert api.post(RUNS, json={"campaign": "lock_battery"}, headers={"Host": host}).status_code == 403
    assert api.get("/", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "localhost"])
def test_without_keys_this_machine_is_answered_by_any_of_its_names(open_app: OpenApp, parts: Parts, host: str) -> None:
    assert open_app(parts).get(RUNS, headers={"Host": host}).status_code == 200


def test_with_a_key_any_name_will_do(guarded: TestClient, engine: Engine) -> None:
    headers = bearing(make_key(engine, Scope.VIEW)) | {"Host": "campaigns.example"}
    assert guarded.get(RUNS, headers=headers).status_code == 200
