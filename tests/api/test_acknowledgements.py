from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Engine

from db.tables import Acknowledgement
from domain.tokens import Signer
from tests.api.rows import add_sent_message, message_state, stored
from tests.api.temporal_double import TemporalDouble

NOW = datetime.now(UTC).isoformat()


def acknowledge(api: TestClient, attempt_id: UUID, token: str | None, received_at: str = NOW) -> Response:
    body = {"message_id": str(attempt_id), "received_at": received_at}
    return api.post("/api/v1/push/ack", json=body if token is None else body | {"token": token})


def test_an_acknowledgement_is_committed_and_then_its_workflow_is_nudged(
    api: TestClient, engine: Engine, signer: Signer, temporal: TemporalDouble
) -> None:
    sent = add_sent_message(engine)

    answer = acknowledge(api, sent.attempt_id, signer.ack_token(sent.attempt_id))

    assert answer.status_code == 202
    assert answer.json() == {"status": "accepted", "first": True, "late": False}
    assert message_state(engine, sent.message_id) == "delivered"
    assert temporal.next_signal() == (f"message:{sent.message_id}", "acknowledged")


def test_a_repeated_acknowledgement_is_accepted_and_nudges_nobody(
    api: TestClient, engine: Engine, signer: Signer, temporal: TemporalDouble
) -> None:
    first, other = add_sent_message(engine), add_sent_message(engine, slot="summer")
    acknowledge(api, first.attempt_id, signer.ack_token(first.attempt_id))

    again = acknowledge(api, first.attempt_id, signer.ack_token(first.attempt_id))
    acknowledge(api, other.attempt_id, signer.ack_token(other.attempt_id))

    assert again.status_code == 202
    assert again.json()["first"] is False
    assert len(stored(engine, Acknowledgement)) == 3
    nudged = [temporal.next_signal()[0], temporal.next_signal()[0]]
    assert nudged == [f"message:{first.message_id}", f"message:{other.message_id}"]


def test_facts_are_taken_while_temporal_is_away(
    api: TestClient, engine: Engine, signer: Signer, temporal: TemporalDouble
) -> None:
    temporal.away = True
    sent = add_sent_message(engine)

    answer = acknowledge(api, sent.attempt_id, signer.ack_token(sent.attempt_id))

    assert answer.status_code == 202
    assert message_state(engine, sent.message_id) == "delivered"


def test_another_attempts_token_is_forged(api: TestClient, engine: Engine, signer: Signer) -> None:
    sent = add_sent_message(engine)

    answer = acknowledge(api, sent.attempt_id, signer.ack_token(uuid4()))

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/docs#forged-token"
    assert message_state(engine, sent.message_id) == "sent"


def test_an_attempt_that_never_was_is_not_found(api: TestClient, signer: Signer) -> None:
    attempt_id = uuid4()

    answer = acknowledge(api, attempt_id, signer.ack_token(attempt_id))

    assert answer.status_code == 404
    assert answer.json()["type"] == "/docs#no-such-attempt"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message_id", "seventeen"),
        ("message_id", None),
        ("received_at", "2026-11-23T09:00:00"),
        ("received_at", "0001-01-01T00:00:00+14:00"),
        ("received_at", "9999-12-31T23:59:59-14:00"),
        ("received_at", "yesterday"),
        ("received_at", 1732353600),
        ("token", "x" * 65),
        ("token", 7),
    ],
)
def test_a_malformed_acknowledgement_names_the_field_and_the_remedy(api: TestClient, field: str, value: object) -> None:
    body = {"message_id": str(uuid4()), "received_at": NOW, "token": "x"} | {field: value}

    answer = api.post("/api/v1/push/ack", json=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [f"body.{field}"]
    assert answer.json()["errors"][0]["remedy"]


def test_a_device_whose_clock_is_lost_is_believed_all_the_same(api: TestClient, engine: Engine, signer: Signer) -> None:
    sent = add_sent_message(engine)

    answer = acknowledge(api, sent.attempt_id, signer.ack_token(sent.attempt_id), "1970-01-01T00:00:07+00:00")

    assert answer.status_code == 202
    assert [row.received_at.year for row in stored(engine, Acknowledgement)] == [1970]


def test_what_is_not_json_is_refused_precisely(api: TestClient) -> None:
    answer = api.post("/api/v1/push/ack", content=b"{", headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["remedy"] == "send well-formed JSON"
