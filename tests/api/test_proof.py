"""The proof over HTTP: as JSON, as CSV, and held against a channel's own report."""

import csv

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from api.bounds import BODY_BYTES
from db.engine import transaction
from db.tables import Message, ReportedAttempt
from tests.api.rows import SentMessage, add_sent_message, stored

CSV = {"Content-Type": "text/csv"}


@pytest.fixture
def sent(engine: Engine) -> SentMessage:
    return add_sent_message(engine, recipient="@ada")


def of(sent: SentMessage, what: str) -> str:
    return f"/api/v1/runs/{sent.run_id}/{what}"


def break_the_ledger(engine: Engine) -> None:
    with transaction(engine) as session:
        session.execute(update(Message).values(state="planned"))


def test_the_proof_as_csv_has_a_harmless_line_for_each_message(api: TestClient, sent: SentMessage) -> None:
    answer = api.get(of(sent, "proof"), params={"format": "csv"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="proof-{str(sent.run_id)[:8]}.csv"'
    [row] = csv.DictReader(answer.text.splitlines())
    assert row == {
        "message_id": str(sent.message_id),
        "recipient_id": "'@ada",
        "state": "sent",
        "expected": "sent",
        "proven": "yes",
        "attempts": "1 fcm sent",
        "why": "",
    }


def test_the_csv_of_a_ledger_that_does_not_balance_is_a_conflict_too(
    api: TestClient, sent: SentMessage, engine: Engine
) -> None:
    break_the_ledger(engine)
    answer = api.get(of(sent, "proof"), params={"format": "csv"})
    [row] = csv.DictReader(answer.text.splitlines())
    assert (answer.status_code, row["proven"], row["expected"]) == (409, "no", "sent")
    assert row["why"] == "this is where its attempts leave it"


def test_another_form_of_a_proof_is_refused(api: TestClient, sent: SentMessage) -> None:
    assert api.get(of(sent, "proof"), params={"format": "xml"}).status_code == 422


def test_a_report_is_taken_and_the_proof_is_held_against_it(api: TestClient, sent: SentMessage) -> None:
    right = api.put(of(sent, "reports/fcm"), content=f"message_id\n{sent.attempt_id}\n", headers=CSV)
    assert (right.status_code, right.json()) == (200, {"channel": "fcm", "messages": 1})
    proof = api.get(of(sent, "proof"))
    assert (proof.status_code, proof.json()["reports"][0]["channel"]) == (200, "fcm")
    api.put(of(sent, "reports/fcm"), content="message_id\n", headers=CSV)
    answer = api.get(of(sent, "proof"))
    assert (answer.status_code, answer.json()["type"]) == (409, "/docs#not-balanced")
    assert "1 tries that a channel's own report tells differently" in answer.json()["detail"]
    [found] = answer.json()["report_differences"]
    assert (found["message_id"], found["attempt_id"]) == (str(sent.message_id), str(sent.attempt_id))
    assert api.delete(of(sent, "reports/fcm")).status_code == 204
    assert api.delete(of(sent, "reports/fcm")).status_code == 204
    assert api.get(of(sent, "proof")).status_code == 200


@pytest.mark.parametrize(
    ("channel", "content", "status", "word"),
    [
        ("sms", "message_id\n", 404, "no-such-channel"),
        ("fcm", "message_id\nlost\n", 422, "bad-report"),
        ("fcm", "", 422, None),
        ("fcm", "x" * (BODY_BYTES + 1), 413, "too-large"),
    ],
)
def test_a_report_that_cannot_be_one_is_refused_and_nothing_is_stored(
    *, api: TestClient, sent: SentMessage, engine: Engine, channel: str, content: str, status: int, word: str | None
) -> None:
    answer = api.put(of(sent, f"reports/{channel}"), content=content, headers=CSV)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert word is None or answer.json()["type"] == f"/docs#{word}"
    assert stored(engine, ReportedAttempt) == []
