import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import UUID

import pytest
from rich.console import Console, RenderableType

from activities.dry_run import DryRun, Sample
from campaigns.campaign import Schedule
from campaigns.registry import Registry
from console.views import campaigns_table, counts_table, dry_run_view, proof_panel, run_panel, runs_table
from db.ledger import Progress
from db.proof import Proof
from db.runs import RunView
from domain.proof import Difference
from domain.states import MessageState, RunState
from tests.fakes import a_probe

RUN = RunView(
    id=UUID(int=7),
    campaign="lock_battery",
    slot="spring",
    workflow_id="run:lock_battery-spring",
    state=RunState.RUNNING,
    state_reason=None,
    parameters={},
    created_at=datetime(2026, 11, 16, 9, tzinfo=UTC),
    begun_at=None,
    started_at=datetime(2026, 11, 16, 9, tzinfo=UTC),
    paused_at=None,
    paused_total=timedelta(),
    cancelled_at=None,
    completed_at=None,
    closed_at=None,
    released_up_to=None,
    targeted=10,
    left_out={},
    noted={},
)
STAND = Progress(
    states={"planned": 2, "sending": 1, "sent": 4, "delivered": 2, "failed": 1},
    awaiting=3,
    held={"paused": 2},
    attempts={"fcm": {"sent": 4, "failed": 1}, "mqtt": {"delivered": 2}},
    clicks={"person": 1},
    people_clicked=1,
    handed_over=6,
)
ESCAPE = "\x1b]0;another title\x07"
HOSTILE = ("[red]", "[/]", "[/red]", "[link=https://evil.example]x", "\\[bold]", "[@click=app.bell]x[/]")
"""To rich each of these is an order, or a mistake that raises."""


def shown(view: RenderableType) -> str:
    console = Console(file=StringIO(), width=300, _environ={})
    console.print(view)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_run_is_shown_as_it_is_called(text: str) -> None:
    run = RUN.model_copy(update={"campaign": text, "slot": text, "state_reason": text})
    stand = STAND.model_copy(
        update={"held": {text: 1}, "clicks": {text: 1}, "attempts": {text: {text: 1}}, "states": {text: 1}}
    )
    assert shown(runs_table([run])).count(text) == 2
    assert shown(run_panel(run, stand)).count(text) >= 7


def test_a_run_shows_what_its_snapshot_left_out_and_what_deserves_a_look() -> None:
    counted = {"left_out": {"fresh": 701, "unmapped": 12}, "noted": {"never_checked": 7, "unreadable": 6}}
    text = shown(run_panel(RUN.model_copy(update=counted), STAND))
    for title in ("left out", "worth a look"):
        assert title in text
        assert title not in shown(run_panel(RUN, STAND))
    rows = (r"fresh\s+701", r"unmapped\s+12", r"never checked\s+7", r"unreadable\s+6")
    assert all(re.search(row, text) for row in rows)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_campaign_is_shown_as_it_is_written(text: str) -> None:
    campaign = replace(a_probe(), name=text, purpose=text, schedule=Schedule(text, text))
    assert shown(campaigns_table(Registry({text: campaign}))).count(text) == 4


@pytest.mark.parametrize("text", HOSTILE)
def test_a_dry_run_shows_texts_as_they_would_be_sent(text: str) -> None:
    prediction = DryRun(
        text,
        by_channel=Counter({text: 1}),
        deferred=Counter({text: 1}),
        not_sent=Counter({text: 1}),
        left_out=Counter({text: 1}),
        noted=Counter({text: 1}),
        samples=[Sample(text, text, text, text, text)],
    )
    assert shown(dry_run_view(prediction)).count(text) == 11


def test_a_text_cannot_give_orders_to_the_terminal() -> None:
    prediction = DryRun("probe", samples=[Sample("ada", "fcm", "…0001", ESCAPE, "two\nlines")])
    text = shown(dry_run_view(prediction))
    assert "\x1b" not in text
    assert "�]0;another title�: two" in text
    assert "lines" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_proof_shows_its_reasons_as_they_are(text: str) -> None:
    difference = Difference(message_id=UUID(int=9), state=MessageState.SENT, expected=MessageState.FAILED, why=text)
    proof = Proof(
        balanced=False, targeted=1, rows=1, states={text: 1}, unfinished=0, differences=[difference], different=1
    )
    assert shown(proof_panel(proof)).count(text) == 2
    assert text in shown(counts_table(text, {}))


def test_what_has_ended_and_what_is_awaited_add_up() -> None:
    text = shown(run_panel(RUN, STAND))
    assert "4 of 10 ended, 6 handed over" in text
    assert dict(re.findall(r"(?m)^│ +(\w+) +(\d+)\b", text)) == {
        "awaiting": "3",
        "planned": "2",
        "delivered": "2",
        "sending": "1",
        "failed": "1",
        "sent": "1",
    }


def test_a_run_that_has_no_audience_yet_is_shown() -> None:
    run = RUN.model_copy(update={"state": RunState.QUEUED, "targeted": None, "started_at": None})
    empty = Progress(states={}, awaiting=0, held={}, attempts={}, clicks={}, people_clicked=0, handed_over=0)
    assert "0 of 0 ended" in shown(run_panel(run, empty))
    assert "queued" in shown(runs_table([run]))


@pytest.mark.parametrize("state", RunState)
def test_every_state_of_a_run_can_be_shown(state: RunState) -> None:
    assert state in shown(runs_table([RUN.model_copy(update={"state": state})]))


def test_the_largest_count_comes_first() -> None:
    text = shown(counts_table("clicks", {"person": 2, "scanner": 30, "link_preview": 4}))
    assert text.index("scanner") < text.index("link preview") < text.index("person")
