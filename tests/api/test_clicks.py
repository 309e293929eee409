from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.parts import Parts
from db.tables import Click, Message
from domain.tokens import Signer
from tests.api.conftest import OpenApp
from tests.api.rows import add_sent_message, away_from, message_state, stored
from tests.api.temporal_double import TemporalDouble

PHONE = {"User-Agent": "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/142.0 Mobile Safari/537.36"}
LANDING = "https://locks.example/battery"


def link_to(signer: Signer, message_id: UUID, valid_for: timedelta = timedelta(days=1)) -> str:
    return "/c/" + signer.click_token(message_id, datetime.now(UTC) + valid_for)


def historical(**words: str) -> str:
    return "/?" + urlencode({"event": "click"} | words)


def test_a_persons_click_ends_the_wait_and_nudges_the_workflow(
    api: TestClient, engine: Engine, signer: Signer, temporal: TemporalDouble
) -> None:
    sent = add_sent_message(engine)

    answer = api.get(link_to(signer, sent.message_id), headers=PHONE)

    assert answer.status_code == 200
    assert "Thank you" in answer.text
    assert [(click.click_class, click.signed) for click in stored(engine, Click)] == [("person", True)]
    assert message_state(engine, sent.message_id) == "delivered"
    assert temporal.next_signal() == (f"message:{sent.message_id}", "clicked")


def test_a_click_takes_the_person_where_the_setting_says_and_not_where_the_query_does(
    open_app: OpenApp, parts: Parts, engine: Engine, signer: Signer
) -> None:
    sent = add_sent_message(engine)
    api = open_app(replace(parts, click_landing_url=LANDING))

    signed = api.get(link_to(signer, sent.message_id) + "?next=https://evil.example", headers=PHONE)
    unsigned = api.get(historical(campaign_id="x", next="https://evil.example"), headers=PHONE)

    assert [signed.status_code, signed.headers["location"]] == [302, LANDING]
    assert [unsigned.status_code, unsigned.headers["location"]] == [302, LANDING]


@pytest.mark.parametrize(
    ("method", "headers", "click_class"),
    [
        ("HEAD", PHONE, "probe"),
        ("GET", PHONE | {"Sec-Purpose": "prefetch"}, "prefetch"),
        ("GET", {"User-Agent": "WhatsApp/2.25.1 A"}, "preview"),
        ("GET", {"User-Agent": "curl/8.5.0"}, "scanner"),
    ],
)
def test_a_machines_click_is_stored_and_changes_nothing(
    *, api: TestClient, engine: Engine, signer: Signer, method: str, headers: dict[str, str], click_class: str
) -> None:
    sent = add_sent_message(engine)

    answer = api.request(method, link_to(signer, sent.message_id), headers=headers)

    assert answer.status_code == 200
    assert [click.click_class for click in stored(engine, Click)] == [click_class]
    assert message_state(engine, sent.message_id) == "sent"


def test_a_click_right_after_the_sending_is_too_fast(
    open_app: OpenApp, parts: Parts, engine: Engine, signer: Signer
) -> None:
    sent = add_sent_message(engine, sent_ago=timedelta(seconds=30))
    link = link_to(signer, sent.message_id)

    open_app(replace(parts, too_fast_seconds=3600)).get(link, headers=PHONE)
    open_app(replace(parts, too_fast_seconds=3)).get(link, headers=PHONE)

    assert [click.click_class for click in stored(engine, Click)] == ["too_fast", "person"]


def test_a_forged_link_shows_a_friendly_page_and_stores_nothing(api: TestClient, engine: Engine) -> None:
    other = Signer.of_secrets(b"another secret, of somebody else.")

    for link in (link_to(other, uuid4()), "/c/short", "/c/", "/c/%00", "/c/a/b"):
        answer = api.get(link, headers=PHONE)
        assert answer.status_code == 404
        assert "This link is not complete" in answer.text
    assert stored(engine, Click) == []


def test_an_expired_link_shows_a_friendly_page_and_is_kept_as_a_raw_fact(
    api: TestClient, engine: Engine, signer: Signer
) -> None:
    sent = add_sent_message(engine)

    answer = api.get(link_to(signer, sent.message_id, timedelta(seconds=-1)), headers=PHONE)

    assert answer.status_code == 410
    assert "expired" in answer.text
    assert [(click.message_id, click.click_class) for click in stored(engine, Click)] == [(sent.message_id, "expired")]
    assert message_state(engine, sent.message_id) == "sent"


def test_a_link_of_an_erased_message_still_takes_the_person_on(api: TestClient, engine: Engine, signer: Signer) -> None:
    assert api.get(link_to(signer, uuid4()), headers=PHONE).status_code == 200
    assert [click.message_id for click in stored(engine, Click)] == [None]


def test_a_historical_click_that_matches_a_sent_message_counts_and_is_marked_unsigned(
    api: TestClient, engine: Engine, temporal: TemporalDouble
) -> None:
    sent = add_sent_message(engine, recipient="ada", lock="lock-17")

    answer = api.get(historical(campaign_id="lock_battery", lock_id="lock-17", user_id="ada"), headers=PHONE)

    assert answer.status_code == 200
    [click] = stored(engine, Click)
    assert (click.message_id, click.signed, click.click_class) == (sent.message_id, False, "person")
    assert temporal.next_signal() == (f"message:{sent.message_id}", "clicked")


def test_a_historical_click_on_an_unknown_campaign_is_stored_as_such(api: TestClient, engine: Engine) -> None:
    add_sent_message(engine)

    api.get(historical(campaign_id="long_ago", lock_id="lock-17", user_id="ada"), headers=PHONE)

    [click] = stored(engine, Click)
    assert click.message_id is None
    assert click.named == {"campaign_id": "long_ago", "lock_id": "lock-17", "user_id": "ada"}
    assert [message.clicked_at for message in stored(engine, Message)] == [None]


@pytest.mark.parametrize(
    "query",
    [
        "event=click",
        "event=click&campaign_id=",
        "event=click&event=open&campaign_id=a&campaign_id=b",
        "event=click&campaign_id=%00&lock_id=%00%00&user_id=a%00b",
        "event=click&user_id=<script>alert(1)</script>",
        "event=click&lock_id=%ED%A0%80%FF&campaign_id=%F0%9F%94%92",
        "event=click&campaign_id=" + "x" * 10_000,
        "event=click&&&==&campaign_id[]=1;DROP TABLE clicks",
    ],
)
def test_a_historical_click_never_shows_an_error_whatever_it_says(api: TestClient, engine: Engine, query: str) -> None:
    answer = api.get("/?" + query, headers=PHONE)

    assert answer.status_code == 200
    assert "<script" not in answer.text
    [click] = stored(engine, Click)
    assert all(len(value) <= 200 for value in click.named.values())


def test_a_click_is_shown_no_error_while_the_database_is_away(
    open_app: OpenApp, parts: Parts, engine: Engine, signer: Signer
) -> None:
    sent = add_sent_message(engine)
    away = replace(parts, engine=away_from(engine))
    api = open_app(away)

    assert api.get(link_to(signer, sent.message_id), headers=PHONE).status_code == 200
    assert api.get(historical(campaign_id="x"), headers=PHONE).status_code == 200
    assert stored(engine, Click) == []


def test_a_flood_from_one_address_is_taken_on_and_not_stored_without_end(
    open_app: OpenApp, parts: Parts, engine: Engine
) -> None:
    api = open_app(replace(parts, public_requests_a_minute=3))

    answers = [api.get(historical(campaign_id="x"), headers=PHONE).status_code for _ in range(5)]

    assert answers == [200] * 5
    assert len(stored(engine, Click)) == 3
    assert "drumbeat_public_requests_refused_total 2.0" in api.get("/metrics").text
