"""Pause, resume, cancel and release: what they do to the rows, exactly."""

import threading
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from db import control, locks
from db.audience import add_messages, close_snapshot, store_rows
from db.engine import transaction
from db.runs import move_on
from db.tables import Attempt, Message
from domain.hand_over import HAND_OVER_LIMIT
from domain.ladder import Done, Wait
from domain.problems import NoSuchRunError, RunIsBusyError, WrongStateError
from domain.states import FailureKind, HoldReason, MessageState, RunState
from tests.db.scene import UNKNOWN, Scene, a_plan, failed, in_threads
from tests.fakes import a_person


def test_a_deadline_moves_by_exactly_the_time_paused_and_no_row_of_a_message_is_touched(scene: Scene) -> None:
    run_id = scene.opened(*(a_person(number) for number in range(3)))
    ids = scene.ids(run_id)
    for message_id in ids:
        scene.send(message_id)
    before = scene.decide(ids[0]).step
    messages, attempts = scene.everything(Message, run_id), scene.everything(Attempt, run_id)
    control.pause(scene.engine, run_id, "test")
    scene.set(run_id, paused_at=scene.run(run_id).paused_at - timedelta(minutes=30))  # type: ignore[operator] # paused
    control.resume(scene.engine, run_id, "test")
    assert scene.everything(Message, run_id) == messages
    assert scene.everything(Attempt, run_id) == attempts
    after = scene.decide(ids[0]).step
    assert isinstance(before, Wait)
    assert isinstance(after, Wait)
    assert before.until is not None
    assert after.until == before.until + scene.run(run_id).paused_total
    assert scene.run(run_id).paused_total >= timedelta(minutes=30)


def test_two_pauses_add_up(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    before = scene.decide(message_id).step
    for _ in range(2):
        control.pause(scene.engine, run_id, "test")
        scene.set(run_id, paused_at=scene.run(run_id).paused_at - timedelta(minutes=10))  # type: ignore[operator]
        control.resume(scene.engine, run_id, "test")
    after = scene.decide(message_id).step
    assert isinstance(before, Wait)
    assert isinstance(after, Wait)
    assert after.until == before.until + scene.run(run_id).paused_total  # type: ignore[operator] # awaited
    assert scene.run(run_id).paused_total >= timedelta(minutes=20)


def test_while_paused_a_deadline_stands_still(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    control.pause(scene.engine, run_id, "test")
    assert scene.decide(message_id, "mqtt").step == Wait(None, HoldReason.PAUSED)
    message = scene.message(message_id)
    assert (message.state, message.due_at, message.hold_reason) == ("sent", None, "paused")


def test_a_deadline_whose_hour_comes_in_a_pause_does_not_end_the_message(scene: Scene) -> None:
    run_id = scene.opened(a_person(0, channels=("fcm",)))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    control.pause(scene.engine, run_id, "test")
    scene.silence(message_id, late_by=timedelta(minutes=10))
    scene.set(run_id, paused_at=scene.run(run_id).paused_at - timedelta(minutes=20))  # type: ignore[operator]
    assert scene.decide(message_id).step == Wait(None, HoldReason.PAUSED)
    control.resume(scene.engine, run_id, "test")
    step = scene.decide(message_id).step
    assert isinstance(step, Wait)
    assert step.reason is HoldReason.AWAITING


def test_a_second_pause_says_so_and_does_not_start_the_time_anew(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    assert not control.pause(scene.engine, run_id, "ada").already
    since = scene.run(run_id).paused_at
    assert control.pause(scene.engine, run_id, "grace").already
    assert scene.run(run_id).paused_at == since
    assert scene.audit(run_id) == [("ada", "pause")]


def test_a_pause_answers_how_many_are_in_a_providers_hands(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), a_person(1))
    first, second = scene.ids(run_id)
    hanging = scene.claim(first)
    scene.send(second)
    assert control.pause(scene.engine, run_id, "test").in_flight == 1
    scene.settle(hanging)
    assert control.pause(scene.engine, run_id, "test").in_flight == 0


def test_a_pause_waits_while_a_claim_may_still_be_handed_over(scene: Scene) -> None:
    """The claim is new, and nothing is settled: the answer may only come when the claim is no longer good."""
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.claim(message_id)
    control.pause(scene.engine, run_id, "test")
    with transaction(scene.engine) as session:
        age = session.execute(text("select clock_timestamp() - claimed_at from drumbeat.attempts")).scalar_one()
    assert age >= HAND_OVER_LIMIT


def test_a_pause_that_cannot_have_the_lock_changes_nothing_and_says_so(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    with transaction(scene.engine) as frozen:
        frozen.execute(text("set local idle_in_transaction_session_timeout = 0"))
        locks.share_run(frozen, run_id)
        with pytest.raises(RunIsBusyError, match="nothing was changed"):
            control.pause(scene.engine, run_id, "test")
    assert scene.run(run_id).state == RunState.RUNNING
    assert scene.audit(run_id) == []


def test_a_claim_that_froze_in_its_transaction_holds_a_pause_up_for_3_seconds_at_most(scene: Scene) -> None:
    """PostgreSQL ends it, and with it the claim, so that it can hand nothing over."""
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    connection = scene.engine.connect()
    connection.execute(text("select pg_advisory_xact_lock_shared(:key)"), {"key": locks._key("run", str(run_id))})
    assert scene.run(run_id).state == RunState.RUNNING
    assert pause_until_it_has_the_lock(scene, run_id).in_flight == 0
    connection.invalidate()
    connection.close()
    assert scene.decide(message_id).claim is None


def pause_until_it_has_the_lock(scene: Scene, run_id: UUID) -> control.Paused:
    """What an operator does who reads `try again`."""
    try:
        return control.pause(scene.engine, run_id, "test")
    except RunIsBusyError:
        return control.pause(scene.engine, run_id, "test")


def test_a_pause_that_meets_the_runs_end_does_not_undo_it(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.acknowledge(scene.send(message_id))
    with transaction(scene.engine) as session:
        assert move_on(session, run_id) is RunState.CLOSED
        with scene.meanwhile(lambda: control.pause(scene.engine, run_id, "test")) as paused:
            scene.until_somebody_waits()
            session.commit()
    with pytest.raises(WrongStateError):
        paused.result()
    assert scene.run(run_id).state == RunState.CLOSED


@pytest.mark.parametrize("state", ["cancelled", "closed", "failed"])
def test_a_run_that_is_over_cannot_be_paused_and_keeps_its_state(scene: Scene, state: str) -> None:
    run_id = scene.opened(a_person(0))
    scene.set(run_id, state=state)
    with pytest.raises(WrongStateError, match=state):
        control.pause(scene.engine, run_id, "test")
    assert scene.run(run_id).state == state


def test_a_run_that_is_not_paused_cannot_be_resumed(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    with pytest.raises(WrongStateError, match="only a paused run"):
        control.resume(scene.engine, run_id, "test")


def test_a_run_that_is_not_there_is_named(scene: Scene) -> None:
    with pytest.raises(NoSuchRunError, match="00000000"):
        control.pause(scene.engine, UUID(int=0), "test")


def test_a_resume_says_how_many_were_held(scene: Scene) -> None:
    run_id = scene.opened(*(a_person(number) for number in range(3)))
    control.pause(scene.engine, run_id, "test")
    for message_id in scene.ids(run_id)[:2]:
        scene.decide(message_id)
    assert control.resume(scene.engine, run_id, "test").held == 2
    assert scene.run(run_id).state == RunState.RUNNING
    assert scene.audit(run_id) == [("test", "pause"), ("test", "resume")]


def test_a_pause_before_the_audience_is_there_goes_back_to_queued(scene: Scene) -> None:
    run_id = scene.queued()
    control.pause(scene.engine, run_id, "test")
    control.resume(scene.engine, run_id, "test")
    assert scene.run(run_id).state == RunState.QUEUED


def test_a_cancel_withdraws_all_that_was_not_sent_and_counts_it(scene: Scene) -> None:
    run_id = scene.opened(*(a_person(number) for number in range(6)), plan=a_plan(retries_unknown=True))
    planned, refused, uncertain, flying, sent, ended = scene.ids(run_id)
    scene.send(refused, outcome=failed(FailureKind.BUSY, retry_after=60))
    scene.send(uncertain, outcome=UNKNOWN)
    in_flight = scene.claim(flying)
    scene.send(sent)
    scene.acknowledge(scene.send(ended))
    assert control.cancel(scene.engine, run_id, "test") == control.Cancelled(2, awaiting=1, in_flight=1, already=False)
    states = {message_id: scene.message(message_id).state for message_id in scene.ids(run_id)}
    assert states == {
        planned: "withdrawn",
        refused: "withdrawn",
        uncertain: "unknown",
        flying: "sending",
        sent: "sent",
        ended: "delivered",
    }
    assert scene.settle(in_flight, failed(FailureKind.BUSY)).step == Done(MessageState.WITHDRAWN, "run_cancelled")
    scene.silence(sent)
    assert scene.decide(sent, "mqtt").step == Done(MessageState.EXPIRED)
    proof = scene.proof(run_id)
    assert (proof.balanced, proof.unfinished) == (True, 0)


def test_a_second_cancel_withdraws_nothing_more_and_says_so(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    assert control.cancel(scene.engine, run_id, "test").withdrawn == 1
    again = control.cancel(scene.engine, run_id, "test")
    assert (again.withdrawn, again.already) == (0, True)
    assert scene.audit(run_id) == [("test", "cancel")]


def test_a_cancel_in_a_pause_lets_the_deadlines_of_what_was_sent_run_again(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    control.pause(scene.engine, run_id, "test")
    control.cancel(scene.engine, run_id, "test")
    run = scene.run(run_id)
    assert (run.paused_at, run.paused_total > timedelta()) == (None, True)
    step = scene.decide(message_id).step
    assert isinstance(step, Wait)
    assert step.until is not None


def test_a_run_that_is_cancelled_while_its_audience_is_taken_withdraws_all_of_it(scene: Scene) -> None:
    run_id = scene.queued()
    with transaction(scene.engine) as session:
        store_rows(session, run_id, [a_person(number) for number in range(3)])
        add_messages(session, run_id, ["fcm"], limit=2)
    assert control.cancel(scene.engine, run_id, "test").withdrawn == 2
    with transaction(scene.engine) as session:
        add_messages(session, run_id, ["fcm"])
        close_snapshot(session, run_id, {}, {})
    proof = scene.proof(run_id)
    assert (proof.states, proof.balanced, proof.unfinished) == ({"withdrawn": 3}, True, 0)
    with transaction(scene.engine) as session:
        assert move_on(session, run_id) is RunState.CANCELLED
    assert scene.run(run_id).closed_at is not None


def test_what_is_not_released_is_held_until_it_is(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), a_person(1))
    scene.set(run_id, released_up_to=1)
    first, second = scene.ids(run_id)
    assert scene.decide(first).claim is not None
    assert scene.decide(second).step == Wait(None, HoldReason.NOT_RELEASED)
    assert control.release(scene.engine, run_id, "test", None) == 2
    assert scene.decide(second).claim is not None


@pytest.mark.parametrize("released_up_to", [2, None])
def test_what_is_released_cannot_be_taken_back(scene: Scene, released_up_to: int | None) -> None:
    run_id = scene.opened(a_person(0), a_person(1))
    scene.set(run_id, released_up_to=released_up_to)
    with pytest.raises(WrongStateError, match="are released already"):
        control.release(scene.engine, run_id, "test", 1)
    assert scene.run(run_id).released_up_to == released_up_to


def test_of_many_who_pause_and_resume_at_once_each_change_is_made_once(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    changes = threading.Lock()
    made: list[str] = []

    def toggle(index: int) -> None:
        try:
            if index % 2:
                control.resume(scene.engine, run_id, "test")
            elif control.pause(scene.engine, run_id, "test").already:
                return
        except WrongStateError:
            return
        with changes:
            made.append("resume" if index % 2 else "pause")

    in_threads(12, toggle)
    assert sorted(action for _, action in scene.audit(run_id)) == sorted(made)
    paused = made.count("pause") - made.count("resume")
    assert scene.run(run_id).state == (RunState.PAUSED if paused else RunState.RUNNING)
