"""The address `/` as a page of figures."""

import re
from dataclasses import replace
from html import unescape
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from api.parts import Parts
from api.sections import RUNS_SHOWN
from campaigns.campaign import Schedule
from campaigns.registry import Registry
from db.api_keys import Scope
from db.engine import transaction
from db.tables import Click, Run
from domain.states import RunState
from tests.api.conftest import OpenApp
from tests.api.measured_rows import Course, add_measured_run, slot_of
from tests.api.rows import add_run, away_from, stored
from tests.api.test_keys import bearing, make_key
from tests.fakes import a_probe

HOSTILE = "<script>alert(1)</script>'\"><img src=x onerror=alert(1)>"
SMALL = Course(sent=2, held_out=0, failed=1, clicked=1, helped=1)


def cells(text: str) -> dict[str, str]:
    """Of the first run on the page, by column."""
    row = text.split("<tbody>")[1].split("</tr>", maxsplit=1)[0]
    found = re.findall(r'data-label="([^"]+)"[^>]*>(.*?)</td>', row)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", cell).split()) for name, cell in found}


def slots(text: str) -> list[str]:
    return re.findall(r'<span class="slot">([^<]*)</span>', text)


def test_the_page_shows_what_the_rows_say(api: TestClient, engine: Engine) -> None:
    add_measured_run(engine, course=Course(sent=40, held_out=10, failed=2, clicked=8, helped=21, helped_anyway=0))

    text = api.get("/").text

    assert cells(text) == {
        "targeted": "52",
        "held out": "10",
        "sent": "40",
        "failed": "2",
        "clicked": "8",
        "click-through rate": "20.0%",
        "effectiveness": "50.0%",
        "lift": "+50.0 points +18.7 to +64.5",
    }
    assert slots(text) == [slot_of(0)]
    assert "Mon 5 Jan 2026, 09:00 UTC" in text
    assert 'class="closed"' in text


def test_the_page_names_each_campaign_and_when_it_runs_by_itself(open_app: OpenApp, parts: Parts) -> None:
    campaigns = (replace(a_probe(), name="weekly", schedule=Schedule("0 9 * * MON", "Europe/Berlin")), a_probe())
    text = open_app(replace(parts, registry=Registry({each.name: each for each in campaigns}))).get("/").text

    assert [campaign.name for campaign in campaigns] == ["weekly", "probe"]
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", text) == ["probe", "weekly"]
    assert text.count(a_probe().purpose) == 2
    assert "Runs by itself every Monday at 09:00 Europe/Berlin." in text
    assert "Never runs by itself" in text


def test_seven_charts_stand_above_the_table(api: TestClient, engine: Engine) -> None:
    for week in range(3):
        add_measured_run(engine, week, SMALL)

    text = api.get("/").text

    charts = re.findall(r'<svg [^>]*role="img" aria-label="([^"]+)"', text)
    assert [chart.partition(" over 3 runs")[0] for chart in charts] == [
        "targeted",
        "sent",
        "failed",
        "clicked",
        "click-through rate",
        "effectiveness",
        "lift",
    ]
    assert text.index("</svg>") < text.index("<table")


def test_a_run_whose_windows_are_open_says_so(api: TestClient, engine: Engine) -> None:
    add_measured_run(engine, course=Course(awaited=16, state=RunState.COMPLETED))

    shown = cells(api.get("/").text)

    assert shown["effectiveness"].endswith("% still open")
    assert shown["lift"] == "still open"


def test_too_few_held_out_are_not_enough_data(api: TestClient, engine: Engine) -> None:
    add_measured_run(engine, course=Course(held_out=3))

    assert cells(api.get("/").text)["lift"] == "not enough data"


def test_outcomes_that_cannot_be_read_are_a_warning(api: TestClient, engine: Engine) -> None:
    add_measured_run(engine, course=Course(awaited=16))
    with transaction(engine) as session:
        session.execute(update(Run).values(measurement_reason=f"DynamoDB is away {HOSTILE}"))

    text = api.get("/").text

    assert "cannot be read: DynamoDB is away" in text
    assert "<script" not in text


def test_before_the_first_run_the_page_says_what_to_do(api: TestClient) -> None:
    text = api.get("/").text

    assert "No run yet" in text
    assert "drumbeat run lock_battery --dry-run" in re.sub("<[^>]+>", "", text)
    assert "<svg" not in text
    assert "<table" not in text


def test_a_run_that_nobody_has_begun_is_shown_without_counts(api: TestClient, engine: Engine) -> None:
    add_run(engine, state=RunState.SCHEDULED, targeted=None)

    assert cells(api.get("/").text)["targeted"] == "–"  # noqa: RUF001


@pytest.mark.parametrize("hostile", [HOSTILE, "{{ 7 * 7 }}", "%3Cscript%3E", "\x1b[31m", "x" * 2000])
def test_text_from_outside_stays_text(open_app: OpenApp, parts: Parts, engine: Engine, hostile: str) -> None:
    named = replace(a_probe(), name=hostile, purpose=hostile, schedule=Schedule(hostile))
    add_measured_run(engine, course=SMALL, slot=hostile, campaign=hostile)
    api = open_app(replace(parts, registry=Registry({hostile: named})))

    text = api.get("/").text

    assert [unescape(slot) for slot in slots(text)] == [hostile]
    assert "<script" not in text
    assert "<img" not in text


def test_older_runs_are_a_link_away(api: TestClient, engine: Engine) -> None:
    for week in range(RUNS_SHOWN + 2):
        add_measured_run(engine, week, SMALL)

    newest = api.get("/").text
    [older] = re.findall(r'href="([^"]+)" rel="next"', newest)
    second = api.get(older.replace("&amp;", "&")).text

    assert slots(newest) == [slot_of(week) for week in range(RUNS_SHOWN + 1, 1, -1)]
    assert slots(second) == [slot_of(1), slot_of(0)]
    assert 'rel="next"' not in second
    assert 'href="/?campaign=lock_battery"' in second


def test_after_the_last_page_there_is_a_way_back(api: TestClient, engine: Engine) -> None:
    add_measured_run(engine, course=SMALL)

    text = api.get("/?campaign=lock_battery&before=2026-01-01T00:00:00Z").text

    assert "There are no older runs." in text
    assert 'href="/?campaign=lock_battery"' in text


def test_an_unknown_campaign_is_a_page_that_says_so(api: TestClient) -> None:
    answer = api.get("/?" + urlencode({"campaign": HOSTILE}))

    assert answer.status_code == 404
    assert "There are: lock_battery." in answer.text
    assert "<script" not in answer.text


@pytest.mark.parametrize("before", ["monday", "2026-01-05", "2026-01-05T09:00:00", HOSTILE, "\0", "9" * 5000])
def test_a_time_that_is_none_is_a_page_that_says_so(api: TestClient, before: str) -> None:
    answer = api.get("/?" + urlencode({"before": before}))

    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("required", [False, True])
def test_a_database_that_is_away_is_a_page_that_says_so(
    open_app: OpenApp, parts: Parts, engine: Engine, required: bool
) -> None:
    key = make_key(engine, Scope.VIEW)
    api = open_app(replace(parts, engine=away_from(engine), api_keys_required=required))

    answer = api.get("/", headers=bearing(key) if required else {})

    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert "cannot be reached" in answer.text
    assert "Traceback" not in answer.text
    assert "127.0.0.1" not in answer.text


def test_the_page_may_load_nothing_but_its_own_style_and_pictures(api: TestClient, engine: Engine) -> None:
    add_measured_run(engine, course=SMALL)

    answer = api.get("/")

    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'; img-src 'self'")
    for forbidden in ("<script", "<style", " style=", " onload=", " src="):
        assert forbidden not in answer.text


def test_the_page_leads_to_the_reference_and_to_the_metrics(api: TestClient) -> None:
    text = api.get("/").text
    assert 'href="/docs"' in text
    assert 'href="/metrics"' in text


def test_looking_stores_nothing(api: TestClient, engine: Engine) -> None:
    assert api.head("/").status_code == api.get("/").status_code == 200
    assert stored(engine, Click) == []


def test_the_registry_alone_decides_what_is_shown(api: TestClient, engine: Engine) -> None:
    add_measured_run(engine, course=SMALL, campaign="forgotten")

    assert "forgotten" not in api.get("/").text
