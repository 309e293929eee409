"""The page of an unsubscribe in a real Chromium: asked, pressed, done."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from api.app import create_app
from api.parts import Parts
from db.tables import Suppression
from domain.tokens import Signer
from tests.api.browser import Browser, running_browser
from tests.api.rows import add_sent_message, stored
from tests.api.test_home_in_a_browser import CUT_OFF, DESK, PHONE, WIDER_THAN_THE_WINDOW, serving
from tests.db.scene import HASHER

TITLE = "document.querySelector('h1').textContent"
FINGER = 44
"""Pixels that a button must have at least."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def link(parts: Parts, engine: Engine, signer: Signer) -> Iterator[str]:
    sent = add_sent_message(engine)
    with serving(create_app(parts)) as url:
        yield f"{url}/u/{signer.unsubscribe_token(sent.message_id)}"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_person_presses_the_button_and_is_done(
    *, browser: Browser, link: str, engine: Engine, width: int, dark: bool
) -> None:
    browser.look_like(width, dark=dark)
    browser.open(link)
    assert browser.ask(TITLE) == "Stop all messages?"
    assert browser.ask("document.querySelector('button').getBoundingClientRect().height") >= FINGER
    assert [browser.ask(WIDER_THAN_THE_WINDOW), browser.ask(CUT_OFF)] == [False, []]

    browser.press_button()

    assert browser.complaints == []
    assert browser.ask(TITLE) == "You will get no more messages"
    assert [browser.ask(WIDER_THAN_THE_WINDOW), browser.ask(CUT_OFF)] == [False, []]
    [entry] = stored(engine, Suppression)
    assert entry.address_hash == HASHER("fcm", "token-1")


def test_the_keyboard_reaches_the_button_and_shows_where_it_is(browser: Browser, link: str) -> None:
    browser.look_like(DESK)
    browser.open(link)
    browser.press_tab()
    assert browser.ask("document.activeElement.textContent") == "Stop all messages"
    assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
