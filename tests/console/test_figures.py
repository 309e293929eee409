"""`drumbeat figures`."""

import json
import re

import pytest
from sqlalchemy import Engine

from api.figures import FiguresPage
from console.figures import figures_view
from domain.states import RunState
from tests.api.figures_by_hand import STILL_OPEN, a_run
from tests.api.measured_rows import Course, add_measured_run, slot_of
from tests.console.terminal import Terminal
from tests.console.test_views import HOSTILE, shown


def test_the_figures_of_every_campaign_are_shown_with_the_newest_run_first(drumbeat: Terminal, engine: Engine) -> None:
    assert drumbeat("figures").out == "No run yet: `drumbeat run CAMPAIGN` starts one.\n"
    for week in range(3):
        add_measured_run(engine, week, Course(sent=40, failed=2, clicked=8, helped=21))

    said = drumbeat("figures")

    assert said.code == 0
    assert said.out.index(slot_of(2)) < said.out.index(slot_of(1)) < said.out.index(slot_of(0))
    for word in ("lock_battery", "closed", "52", "20.0%", "50.0%", "+30.0 points", "click-through"):
        assert word in said.out
    newest = drumbeat("figures", "lock_battery", "--limit", "1").out
    assert slot_of(2) in newest
    assert slot_of(1) not in newest


def test_figures_for_scripts_are_those_of_the_api(drumbeat: Terminal, engine: Engine) -> None:
    for week in range(2):
        add_measured_run(engine, week, Course(sent=40, clicked=8, awaited=3))

    said = drumbeat("figures", "lock_battery", "--json", COLUMNS="20")

    runs = json.loads(said.out)
    assert [run["slot"] for run in runs] == [slot_of(1), slot_of(0)]
    assert runs[0]["click_through_rate"] == 0.2
    assert runs[0]["lift"]["lift"] is None
    assert FiguresPage.model_validate({"figures": runs, "next": None}).figures[1].effectiveness


def test_before_the_first_run_a_script_gets_an_empty_list(drumbeat: Terminal) -> None:
    assert json.loads(drumbeat("figures", "--json").out) == []


@pytest.mark.parametrize("name", ["lock_batery", "", "[/red]"])
def test_an_unknown_campaign_is_refused(drumbeat: Terminal, name: str) -> None:
    said = drumbeat("figures", name)
    assert said.code == 1
    assert said.out == ""
    assert said.err == f"there is no campaign {name!r}; there are: lock_battery\n"


@pytest.mark.parametrize("limit", ["0", "501", "all"])
def test_a_limit_that_is_none_is_refused(drumbeat: Terminal, limit: str) -> None:
    said = drumbeat("figures", "--limit", limit)
    assert said.code == 2
    assert "--limit" in said.err


@pytest.mark.parametrize("text", HOSTILE)
def test_a_campaign_and_a_slot_are_shown_as_they_are_called(text: str) -> None:
    run = a_run(campaign=text, slot=text, lift=STILL_OPEN.model_copy(update={"why": text}))
    assert shown(figures_view([run])).count(text) >= 2


@pytest.mark.parametrize("columns", ["40", "80", "120", "200"])
def test_numbers_are_whole_however_narrow_the_terminal_is(drumbeat: Terminal, engine: Engine, columns: str) -> None:
    add_measured_run(engine, course=Course(sent=1003, held_out=104, failed=12, clicked=301))
    out = drumbeat("figures", COLUMNS=columns).out
    assert "…" not in out
    for figure in ("1,119", "1,003", "104", "12", "301", "30.0%"):
        assert re.search(rf"(?<![\d,.]){re.escape(figure)}(?![\d%])", out), figure


@pytest.mark.parametrize("state", RunState)
def test_every_state_of_a_run_can_be_shown(state: RunState) -> None:
    assert state in shown(figures_view([a_run(state=state)]))
