"""The held out walk the same ladder, and are marked where they would have been sent something."""

from dataclasses import replace

import pytest

from domain.ladder import Done, Wait
from domain.persons import PersonFacts
from domain.proof import difference
from domain.rules import SendWindow
from domain.states import HoldReason, MessageState
from tests.domain.test_ladder import BOTH, FCM, HOUR, MQTT, a_plan, a_run
from tests.domain.virtual import START


def test_the_held_out_is_marked_where_it_would_have_been_sent_and_nobody_is_called() -> None:
    run = a_run(held_out=True)
    assert run.drive() == Done(MessageState.HELD_OUT)
    assert run.sent_at == []
    assert difference(run.message) is None


@pytest.mark.parametrize(
    ("addresses", "person"),
    [
        ({}, PersonFacts()),
        (BOTH, PersonFacts(rejected={FCM: frozenset({"token"}), MQTT: frozenset({"device"})})),
    ],
)
def test_the_held_out_who_could_not_have_been_sent_anything_are_suppressed_like_everybody(
    addresses: dict[str, tuple[str, ...]], person: PersonFacts
) -> None:
    run = a_run(held_out=True, addresses=addresses)
    run.person = person
    assert run.drive() == Done(MessageState.SUPPRESSED, "no_address")


def test_the_held_out_wait_as_everybody_does() -> None:
    run = a_run(held_out=True, plan=a_plan(window=SendWindow(opens=12, closes=20)))
    waiting = run.look()
    assert isinstance(waiting, Wait)
    assert waiting.reason is HoldReason.WINDOW
    assert run.drive() == Done(MessageState.HELD_OUT)
    assert run.now >= START + 3 * HOUR


def test_the_held_out_of_a_cancelled_run_are_withdrawn() -> None:
    run = a_run(held_out=True)
    run.cancel()
    assert run.look() == Done(MessageState.WITHDRAWN, "run_cancelled")


def test_one_that_is_held_out_without_having_been_assigned_is_a_difference() -> None:
    run = a_run(held_out=True)
    run.drive()
    found = difference(replace(run.message, held_out=False))
    assert found
    assert found.expected is MessageState.SUPPRESSED


def test_one_that_was_to_be_held_out_and_was_tried_is_a_difference() -> None:
    run = a_run()
    run.drive()
    found = difference(replace(run.message, held_out=True))
    assert found
    assert found.expected is MessageState.HELD_OUT
