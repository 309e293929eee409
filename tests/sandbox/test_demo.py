"""The demo, small, from its empty folder to its figures."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db.engine import create_database_engine
from db.tables import Attempt, Message, Outcome
from domain.clicks import ClickClass
from domain.states import MessageState
from sandbox.demo import DemoOrder, enough_to_pause, run_demo
from sandbox.demo_figures import Figures
from sandbox.people import Expected, Phone, World, invent_world
from sandbox.postgres import PostgresServer
from tests.console.test_views import RUN, STAND

LOCKS, SEED = 40, 90
"""A world with every kind of visit, six kinds of devices, and phones that were replaced."""
KEYS = {
    *("run_id", "targeted", "states", "attempts", "provider_accepted", "clicks", "balanced", "seconds"),
    *("people_clicked", "handed_over", "left_out", "noted", "click_through_rate", "effectiveness", "lift"),
}


@pytest.fixture(scope="module")
def folder(server_folder: Path) -> Path:
    return server_folder / "demo"


@pytest.fixture(scope="module")
def world() -> World:
    return invent_world(LOCKS, SEED, datetime.now(UTC))


@pytest.fixture(scope="module")
def screen() -> Console:
    return Console(file=StringIO(), width=150, _environ={})


@pytest.fixture(scope="module")
def figures(folder: Path, screen: Console) -> Figures:
    """Of the one demo that this module plays."""
    order = DemoOrder(
        LOCKS, SEED, key="demo", once=True, json_file=folder / "made" / "figures.json", data=folder / "data"
    )
    return run_demo(screen, order)


@pytest.fixture(scope="module")
def written(figures: Figures, folder: Path) -> dict[str, Any]:
    text: dict[str, Any] = json.loads((folder / "made" / "figures.json").read_text())
    return text


@pytest.fixture(scope="module")
def engine(figures: Figures, folder: Path) -> Iterator[Engine]:
    """On what the demo has left behind."""
    with PostgresServer(folder / "data" / "postgres") as server:
        engine = create_database_engine(server.url, pool_size=1)
        yield engine
        engine.dispose()


def test_the_ledger_balances_and_everybody_expected_is_targeted(figures: Figures, world: World) -> None:
    expected: Expected = world.expected
    assert figures.balanced
    assert figures.targeted == expected.targeted == sum(figures.states.values())
    assert figures.left_out == {"fresh": expected.fresh, "unmapped": expected.unmapped}
    assert figures.noted["without_token"] == expected.without_token


def test_every_message_has_ended(figures: Figures) -> None:
    unfinished = {MessageState.PLANNED, MessageState.SENDING}
    assert not unfinished & set(figures.states)


def test_the_providers_count_what_the_ledger_counts(figures: Figures) -> None:
    assert set(figures.provider_accepted) == {"fcm", "mqtt"}
    for channel, accepted in figures.provider_accepted.items():
        assert accepted == figures.ledger_accepted(channel) > 0


def test_clicks_of_every_class_are_there(figures: Figures) -> None:
    sort_of_visits = {"person", "scanner", "prefetch", "preview", "probe"}
    assert sort_of_visits <= {str(each) for each in ClickClass}
    assert set(figures.clicks) == sort_of_visits
    assert 0 < figures.people_clicked <= figures.clicks["person"]


def test_the_written_figures_have_exactly_their_keys(written: dict[str, Any], figures: Figures) -> None:
    assert set(written) == KEYS == {field.name for field in fields(Figures)}
    assert written["run_id"] == str(figures.run_id)
    assert written["balanced"] is True
    assert set(written["attempts"]) == {"fcm", "mqtt"}


def test_every_lock_has_its_outcome_and_the_held_out_were_measured_too(figures: Figures, engine: Engine) -> None:
    assert figures.effectiveness
    assert figures.lift
    assert figures.effectiveness.awaited == 0
    assert figures.effectiveness.helped > 0
    assert figures.states["held_out"] > 0
    assert figures.lift.held_out > 0
    assert figures.lift.why
    assert "not enough data" in figures.lift.why  # with three people held out
    with Session(engine) as session:
        outcomes = session.scalars(select(Outcome)).all()
        assert all(each.outcome for each in outcomes)
        called = {attempt.message_id for attempt in session.scalars(select(Attempt))}
        assert not any(message.held_out for message in session.scalars(select(Message).where(Message.id.in_(called))))


def test_a_channel_that_was_never_tried_is_written_too(figures: Figures) -> None:
    without_mqtt = replace(figures, attempts={"fcm": {"sent": 1}})
    assert without_mqtt.as_json()["attempts"] == {"fcm": {"sent": 1}, "mqtt": {}}


def test_a_replaced_phone_is_reached_by_its_second_token(engine: Engine, world: World) -> None:
    replaced = {person.id: person for person in world.targeted if person.phone is Phone.REPLACED}
    with Session(engine) as session:
        for held_out in session.scalars(select(Message).where(Message.held_out)):
            replaced.pop(held_out.recipient_id, None)
        assert replaced
        messages = session.scalars(select(Message).where(Message.recipient_id.in_(replaced))).all()
        assert len(messages) == len(replaced)
        for message in messages:
            tries = session.scalars(
                select(Attempt).where(Attempt.message_id == message.id, Attempt.channel == "fcm").order_by("number")
            ).all()
            assert message.state != MessageState.FAILED
            assert [each.address for each in tries] == list(replaced[message.recipient_id].tokens)
            assert [each.state == "failed" for each in tries] == [True, False]


def test_people_without_any_way_to_reach_them_are_suppressed(engine: Engine, world: World) -> None:
    unreachable = {person.id for person in world.targeted if not person.tokens and not person.device}
    with Session(engine) as session:
        states = {each.recipient_id: each.state for each in session.scalars(select(Message))}
    assert unreachable
    assert {states[each] for each in unreachable} == {MessageState.SUPPRESSED}


@pytest.mark.parametrize(
    ("handed_over", "closed_at", "enough"),
    [(3, None, False), (4, None, True), (0, datetime(2026, 11, 16, tzinfo=UTC), True)],
    ids=["too few", "enough", "it has ended without"],
)
def test_the_pause_comes_when_enough_is_handed_over_or_never(
    *, handed_over: int, closed_at: datetime | None, enough: bool
) -> None:
    run = RUN.model_copy(update={"targeted": 10, "closed_at": closed_at})
    assert enough_to_pause(run, STAND.model_copy(update={"handed_over": handed_over})) is enough


def test_the_screen_tells_the_story(screen: Console, figures: Figures) -> None:
    assert isinstance(screen.file, StringIO)
    text = screen.file.getvalue()
    for shown in ("Paused with", "In 3 s of pause 0 were handed over", "The ledger balances.", "Effectiveness: "):
        assert shown in text
    assert text.count("the same") == 2
    assert "NOT THE SAME" not in text
