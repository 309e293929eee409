"""Facts from outside, in whatever order they come: they are never lost and never counted twice."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from db import control
from db.engine import transaction
from db.facts import ClickHit, TakenClick, take_acknowledgement, take_click
from db.tables import Acknowledgement, Click
from domain.clicks import ClickClass
from domain.ladder import UNSETTLED_FOR, Done, Wait
from domain.states import FailureKind, MessageState
from tests.db.scene import SENT, UNKNOWN, Scene, a_plan, failed
from tests.fakes import a_person


def click(scene: Scene, hit: ClickHit) -> TakenClick:
    with transaction(scene.engine) as session:
        return take_click(session, hit)


def test_an_acknowledgement_before_the_send_is_recorded_delivers_and_the_record_leaves_it_so(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    claim = scene.claim(message_id)
    assert scene.acknowledge(claim.attempt_id).first
    decision = scene.settle(claim)
    assert decision.step == Done(MessageState.DELIVERED)
    [attempt] = scene.attempts(message_id)
    assert (attempt.state, attempt.provider_id) == ("delivered", "accepted")
    assert scene.message(message_id).acknowledged_late is False
    assert scene.proof(run_id).balanced


def test_an_acknowledgement_outlives_a_late_answer_that_the_send_had_failed(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    claim = scene.claim(message_id)
    scene.acknowledge(claim.attempt_id)
    scene.settle(claim, failed(FailureKind.BUSY))
    assert scene.message(message_id).state == "delivered"
    assert scene.attempt_states(message_id) == [(1, "delivered")]


def test_an_acknowledgement_in_a_pause_counts_at_once(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id)
    control.pause(scene.engine, run_id, "test")
    scene.acknowledge(attempt_id)
    assert scene.message(message_id).state == "delivered"
    assert scene.decide(message_id).step == Done(MessageState.DELIVERED)


def test_a_held_message_that_is_acknowledged_stays_due_until_its_workflow_is_told(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id)
    scene.silence(message_id)
    control.pause(scene.engine, run_id, "test")
    scene.decide(message_id)
    assert scene.message(message_id).hold_reason == "paused"
    scene.acknowledge(attempt_id)
    assert scene.message(message_id).due_at is not None
    scene.decide(message_id)
    told = scene.message(message_id)
    assert (told.state, told.due_at, told.hold_reason) == ("delivered", None, None)


def test_an_acknowledgement_after_the_end_delivers_and_is_marked_late(scene: Scene) -> None:
    run_id = scene.opened(a_person(0, channels=("fcm",)))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id)
    scene.silence(message_id)
    assert scene.decide(message_id).step == Done(MessageState.EXPIRED)
    ended_at = scene.message(message_id).ended_at
    taken = scene.acknowledge(attempt_id)
    assert (taken.first, taken.late) == (True, True)
    message = scene.message(message_id)
    assert (message.state, message.acknowledged_late, message.ended_at) == ("delivered", True, ended_at)
    assert scene.proof(run_id).balanced


def test_a_second_acknowledgement_is_kept_and_changes_nothing(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id)
    scene.acknowledge(attempt_id)
    before = scene.everything(type(scene.message(message_id)), run_id)
    again = scene.acknowledge(attempt_id)
    assert (again.first, again.late) == (False, False)
    assert scene.everything(type(scene.message(message_id)), run_id) == before
    assert len(scene.stored(Acknowledgement, attempt_id=attempt_id)) == 2


def test_an_acknowledgement_of_the_older_attempt_delivers_while_the_newer_is_on_its_way(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    older = scene.send(message_id)
    scene.silence(message_id)
    newer = scene.claim(message_id, "mqtt")
    scene.acknowledge(older)
    assert scene.settle(newer).step == Done(MessageState.DELIVERED)
    assert scene.attempt_states(message_id) == [(1, "delivered"), (2, "sent")]
    assert scene.proof(run_id).balanced


def test_an_acknowledgement_of_a_try_whose_outcome_was_unknown_delivers(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), plan=a_plan(retries_unknown=False))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id, outcome=UNKNOWN)
    assert scene.message(message_id).state == "unknown"
    scene.acknowledge(attempt_id)
    assert scene.message(message_id).state == "delivered"
    assert scene.proof(run_id).balanced


def test_an_acknowledgement_after_the_click_of_the_same_message_is_not_late(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id)
    assert click(scene, ClickHit(ClickClass.PERSON, signed=True, message_id=message_id)).nudges
    taken = scene.acknowledge(attempt_id)
    assert (taken.first, taken.late) == (True, False)
    assert scene.attempt_states(message_id) == [(1, "delivered")]
    assert scene.message(message_id).acknowledged_late is False


def test_an_acknowledgement_that_meets_a_cancel_halfway_is_not_lost(scene: Scene) -> None:
    """The cancel has changed the message and not committed yet, when the acknowledgement reads it."""
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id, outcome=UNKNOWN)
    with transaction(scene.engine) as session:
        control.withdraw_planned(session, run_id, datetime.now(UTC))
        with scene.meanwhile(lambda: scene.acknowledge(attempt_id)):
            scene.until_somebody_waits()
            session.commit()
    message = scene.message(message_id)
    assert (message.state, message.acknowledged_at is None) == ("delivered", False)
    assert scene.proof(run_id).balanced


def test_an_answer_to_a_message_that_ended_as_failed_is_kept_raw_and_the_ledger_balances(scene: Scene) -> None:
    run_id = scene.opened(a_person(0, channels=("fcm",)))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id, outcome=failed(FailureKind.MESSAGE_REJECTED))
    assert scene.message(message_id).state == "failed"
    scene.acknowledge(attempt_id)
    assert not click(scene, ClickHit(ClickClass.PERSON, signed=True, message_id=message_id)).nudges
    assert scene.message(message_id).state == "failed"
    assert len(scene.stored(Acknowledgement, attempt_id=attempt_id)) == 1
    assert len(scene.stored(Click, message_id=message_id)) == 1
    assert scene.proof(run_id).balanced


def test_an_acknowledgement_of_a_try_that_never_was_is_refused(scene: Scene) -> None:
    with transaction(scene.engine) as session:
        assert take_acknowledgement(session, uuid4(), datetime.now(UTC)) is None


@pytest.mark.parametrize("clock_is_off_by", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_device_with_a_wrong_clock_has_no_latency(scene: Scene, clock_is_off_by: timedelta) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    attempt_id = scene.send(message_id)
    with transaction(scene.engine) as session:
        take_acknowledgement(session, attempt_id, datetime.now(UTC) + clock_is_off_by)
    [attempt] = scene.attempts(message_id)
    assert (attempt.state, attempt.latency_ms) == ("delivered", None)


def test_a_click_of_a_person_ends_the_wait_where_the_plan_awaits_one(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    scene.send(message_id)
    assert click(scene, ClickHit(ClickClass.PERSON, signed=True, message_id=message_id)).nudges
    assert scene.message(message_id).state == "delivered"
    assert not click(scene, ClickHit(ClickClass.PERSON, signed=True, message_id=message_id)).nudges
    assert len(scene.stored(Click, message_id=message_id)) == 2


def test_a_click_ends_nothing_where_the_plan_awaits_only_acknowledgements(scene: Scene) -> None:
    plan = a_plan(awaits=["acknowledgement"])
    [message_id] = scene.ids(scene.opened(a_person(0), plan=plan))
    scene.send(message_id)
    assert not click(scene, ClickHit(ClickClass.PERSON, signed=True, message_id=message_id)).nudges
    message = scene.message(message_id)
    assert (message.state, message.clicked_at is None) == ("sent", False)
    assert isinstance(scene.decide(message_id).step, Wait)


def test_a_scanner_that_follows_the_link_ends_nothing(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    scene.send(message_id)
    scanner = next(each for each in ClickClass if each is not ClickClass.PERSON)
    assert not click(scene, ClickHit(scanner, signed=True, message_id=message_id)).nudges
    message = scene.message(message_id)
    assert (message.state, message.clicked_at) == ("sent", None)


def test_a_dead_try_that_is_acknowledged_is_not_tried_again(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    claim = scene.claim(message_id)
    scene.rewind(message_id, UNSETTLED_FOR)
    scene.acknowledge(claim.attempt_id)
    assert scene.decide(message_id).step == Done(MessageState.DELIVERED)
    assert scene.settle(claim, SENT).step == Done(MessageState.DELIVERED)
    assert scene.attempt_states(message_id) == [(1, "delivered")]
