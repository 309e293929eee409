"""The page of figures in a real Chromium, served by a real uvicorn over real rows."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from sqlalchemy import Engine

from api.app import create_app
from api.parts import Parts
from api.sections import RUNS_SHOWN
from db.api_keys import Scope
from domain.states import RunState
from sandbox.ports import LOOPBACK, free_port
from tests.api.browser import Browser, running_browser
from tests.api.measured_rows import Course, add_measured_run
from tests.api.test_keys import make_key

PHONE, DESK = 390, 1280
STARTS_WITHIN_SECONDS = 30
WIDER_THAN_THE_WINDOW = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
CUT_OFF = """
[...document.querySelectorAll("main *:not(.unseen):not(svg *)")]
  .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(each => each.outerHTML.slice(0, 200))
"""
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, LOOPBACK, port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    give_up = time.monotonic() + STARTS_WITHIN_SECONDS
    try:
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < give_up
            time.sleep(0.01)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def site(parts: Parts, engine: Engine) -> Iterator[str]:
    """With more runs than one page shows, one of them still open, and one with a very long name."""
    for week in range(RUNS_SHOWN):
        add_measured_run(engine, week, Course(sent=12 + week, failed=week % 3, helped=5, clicked=week % 5))
    add_measured_run(engine, RUNS_SHOWN, Course(awaited=16, state=RunState.COMPLETED))
    add_measured_run(engine, RUNS_SHOWN + 1, slot="a-key-of-a-hundred-letters-" + "x" * 73)
    with serving(create_app(parts)) as url:
        yield url


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_is_blocked_and_nothing_is_wider_than_the_window(
    browser: Browser, site: str, width: int, dark: bool
) -> None:
    browser.look_like(width, dark=dark)

    browser.open(site)

    assert browser.complaints == []
    assert browser.ask(WIDER_THAN_THE_WINDOW) is False
    assert browser.ask(CUT_OFF) == []
    assert browser.ask("document.querySelectorAll('svg.chart').length") == 7
    assert browser.ask("document.querySelectorAll('table.runs tbody tr').length") == RUNS_SHOWN


def test_the_page_follows_the_colours_that_a_person_has_chosen(browser: Browser, site: str) -> None:
    shown = []
    for dark in (False, True):
        browser.look_like(DESK, dark=dark)
        browser.open(site)
        shown.append(browser.ask(BACKGROUND))
    assert len(set(shown)) == 2


def test_the_keyboard_reaches_every_link_and_shows_where_it_is(browser: Browser, site: str) -> None:
    browser.look_like(DESK)
    browser.open(site)
    seen = []
    for _ in range(10):
        browser.press_tab()
        seen.append(browser.ask("document.activeElement.textContent.trim()"))
        if seen[-1] != "":
            assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid", seen
        if seen[-1] == "What the figures mean":
            break
    assert seen == ["Drumbeat", "The API", "Metrics", "Older runs", "What the figures mean"]


def test_older_runs_are_found_by_their_link(browser: Browser, site: str) -> None:
    browser.look_like(PHONE)
    browser.open(site)

    browser.open(browser.ask("document.querySelector('a[rel=next]').href"))

    assert browser.complaints == []
    assert browser.ask("document.querySelectorAll('table.runs tbody tr').length") == 2


def test_a_browser_asks_the_person_for_the_key(browser: Browser, parts: Parts, engine: Engine) -> None:
    key = make_key(engine, Scope.VIEW)
    browser.look_like(PHONE)
    with serving(create_app(replace(parts, api_keys_required=True))) as url:
        browser.when_asked_for_a_password(None)
        browser.open(url)
        assert browser.ask("document.querySelector('h1').textContent") == "An API key is needed"
        assert browser.ask(WIDER_THAN_THE_WINDOW) is False
        browser.when_asked_for_a_password(key)
        browser.open(url)
        assert browser.ask("document.querySelector('h2').textContent") == "lock_battery"


def test_what_the_policy_blocks_would_be_noticed(browser: Browser, parts: Parts) -> None:
    """Else the tests above could not fail."""
    app = create_app(parts)

    @app.get("/careless")
    def careless() -> HTMLResponse:
        return HTMLResponse('<body><p style="width: 2000px">wide</p><script>document.title = "mine"</script>')

    browser.look_like(PHONE)
    with serving(app) as url:
        browser.open(f"{url}/careless")
        assert len([each for each in browser.complaints if "Content Security Policy" in each]) == 2
        browser.ask("document.querySelector('p').style.width = '2000px'")
        assert browser.ask(WIDER_THAN_THE_WINDOW) is True
