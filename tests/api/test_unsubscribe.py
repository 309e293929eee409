"""`/u/{token}`: GET asks, POST does, and a person never sees an error."""

from dataclasses import replace
from urllib.parse import quote_from_bytes
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from api.parts import Parts
from db.engine import transaction
from db.tables import Message, Suppression
from domain.persons import PERSON
from domain.tokens import Signer
from tests.api.conftest import OpenApp
from tests.api.rows import SentMessage, add_sent_message, away_from, stored
from tests.api.temporal_double import TemporalDouble
from tests.api.test_any_input import MANY
from tests.db.scene import HASHER

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def link_of(signer: Signer, sent: SentMessage) -> str:
    return "/u/" + signer.unsubscribe_token(sent.message_id)


def change(engine: Engine, sent: SentMessage, **values: object) -> None:
    with transaction(engine) as session:
        message = session.get_one(Message, sent.message_id)
        for name, value in values.items():
            setattr(message, name, value)


def suppressed(engine: Engine) -> set[tuple[str, str]]:
    return {(row.channel, row.address_hash) for row in stored(engine, Suppression)}


@pytest.fixture
def sent(engine: Engine) -> SentMessage:
    sent = add_sent_message(engine)
    change(engine, sent, person_key="person-1", addresses={"fcm": ["token-1"]})
    return sent


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_to_look_at_the_link_changes_nothing(
    *, api: TestClient, engine: Engine, signer: Signer, sent: SentMessage, method: str
) -> None:
    answer = api.request(method, link_of(signer, sent), params=ONE_CLICK)

    assert answer.status_code == 200
    assert suppressed(engine) == set()


def test_the_page_asks_with_a_button_that_needs_no_script(api: TestClient, signer: Signer, sent: SentMessage) -> None:
    answer = api.get(link_of(signer, sent))

    assert '<form method="post"><button type="submit">' in answer.text
    assert "<script" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "form-action 'none'" in api.get("/u/forged").headers["content-security-policy"]


def test_the_button_ends_all_messages_of_the_person(
    api: TestClient, engine: Engine, signer: Signer, sent: SentMessage
) -> None:
    answer = api.post(link_of(signer, sent))

    assert answer.status_code == 200
    assert "You will get no more messages" in answer.text
    assert suppressed(engine) == {(PERSON, HASHER(PERSON, "person-1")), ("fcm", HASHER("fcm", "token-1"))}


@pytest.mark.parametrize(
    "body",
    [
        {"data": ONE_CLICK},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"json": ONE_CLICK},
        {"content": b"\xff\x00", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b""},
    ],
    ids=["form", "multipart", "json", "broken", "empty"],
)
def test_a_mail_programs_one_click_is_enough_whatever_its_body(
    *, api: TestClient, engine: Engine, signer: Signer, sent: SentMessage, body: dict[str, object]
) -> None:
    assert api.post(link_of(signer, sent), **body).status_code == 200  # type: ignore[arg-type]
    assert len(suppressed(engine)) == 2


def test_it_may_be_repeated(api: TestClient, engine: Engine, signer: Signer, sent: SentMessage) -> None:
    first = [api.post(link_of(signer, sent)).text for _ in range(2)]
    since = [row.since for row in stored(engine, Suppression)]
    again = api.post(link_of(signer, sent)).text

    assert {*first, again} == {again}
    assert [row.since for row in stored(engine, Suppression)] == since


def test_the_workflows_of_what_waits_for_them_are_called(
    *, api: TestClient, engine: Engine, signer: Signer, sent: SentMessage, temporal: TemporalDouble
) -> None:
    waiting = add_sent_message(engine, slot="summer")
    change(engine, waiting, person_key="person-1", state="planned", hold_reason="window")

    api.post(link_of(signer, sent))

    assert temporal.next_signal() == (f"message:{waiting.message_id}", "look_again")


def test_a_forged_link_shows_a_friendly_page_and_changes_nothing(
    *, api: TestClient, engine: Engine, signer: Signer, sent: SentMessage
) -> None:
    other = Signer.of_secrets(b"another secret, of somebody else.")
    for token in (other.unsubscribe_token(sent.message_id), signer.ack_token(sent.message_id), "", "a/b", "%00"):
        for answer in (api.get(f"/u/{token}"), api.post(f"/u/{token}"), api.head(f"/u/{token}")):
            assert answer.status_code == 404
            assert answer.headers["content-type"].startswith("text/html")
    assert suppressed(engine) == set()


def test_any_token_is_answered_with_a_page(api: TestClient, engine: Engine) -> None:
    @MANY
    @given(token=st.binary(max_size=80).filter(lambda token: b"\n" not in token), body=st.binary(max_size=80))
    def answered(token: bytes, body: bytes) -> None:
        for answer in (
            api.get(f"/u/{quote_from_bytes(token)}"),
            api.post(f"/u/{quote_from_bytes(token)}", content=body),
        ):
            assert answer.status_code == 404
            assert answer.headers["content-type"].startswith("text/html")

    answered()
    assert suppressed(engine) == set()


def test_the_link_of_a_message_that_is_gone_says_done(api: TestClient, signer: Signer) -> None:
    answer = api.post("/u/" + signer.unsubscribe_token(uuid4()))
    assert (answer.status_code, "You will get no more messages" in answer.text) == (200, True)


def test_while_the_database_is_away_the_page_asks_to_press_again(
    open_app: OpenApp, parts: Parts, engine: Engine, signer: Signer, sent: SentMessage
) -> None:
    api = open_app(replace(parts, engine=away_from(engine)))

    assert api.get(link_of(signer, sent)).status_code == 200, "to ask needs no database"
    answer = api.post(link_of(signer, sent))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "Not done yet" in answer.text
    assert "<button" in answer.text
    assert suppressed(engine) == set()


def test_a_flood_on_one_link_is_bounded_and_hinders_nobody_elses(
    open_app: OpenApp, parts: Parts, engine: Engine, signer: Signer, sent: SentMessage
) -> None:
    api = open_app(replace(parts, public_requests_a_minute=2))
    other = add_sent_message(engine, slot="summer", recipient="ida")

    answers = [api.post(link_of(signer, sent)) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "retry-after" in answers[-1].headers
    assert api.post(link_of(signer, other)).status_code == 200, "a mail provider sends those of all its users"
