"""What became of a try, also when the answer comes so late that the message has gone on."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db import control, locks
from db.control import withdraw_planned
from db.decisions import Claim, Decision, decide
from db.engine import transaction
from db.outcomes import Outcome, record
from db.tables import Suppression
from domain.ladder import UNSETTLED_FOR, Done, Wait
from domain.states import AttemptState, FailureKind, HoldReason, MessageState, RunState
from tests.db.scene import HASHER, RELEASED, SENT, UNKNOWN, Scene, a_plan, failed
from tests.fakes import a_person


def test_a_late_answer_settles_its_own_attempt_and_not_the_message_of_a_newer_one(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    frozen = scene.claim(message_id)
    scene.rewind(message_id, UNSETTLED_FOR)
    newer = scene.claim(message_id)
    assert scene.attempt_states(message_id) == [(1, "unknown"), (2, "sending")]
    step = scene.settle(frozen).step
    assert isinstance(step, Wait)
    assert step.reason is HoldReason.IN_FLIGHT
    assert scene.attempt_states(message_id) == [(1, "sent"), (2, "sending")]
    assert scene.message(message_id).state == "sending"
    scene.settle(newer)
    assert scene.attempt_states(message_id) == [(1, "sent"), (2, "sent")]
    assert scene.proof(run_id).balanced


def test_a_late_refusal_of_an_older_attempt_does_not_undo_a_newer_one(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    frozen = scene.claim(message_id)
    scene.rewind(message_id, UNSETTLED_FOR)
    scene.send(message_id)
    scene.settle(frozen, failed(FailureKind.MESSAGE_REJECTED))
    assert scene.message(message_id).state == "sent"
    assert scene.attempt_states(message_id) == [(1, "failed"), (2, "sent")]
    assert isinstance(scene.decide(message_id).step, Wait)


def test_an_outcome_that_is_recorded_is_never_overwritten(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    claim = scene.claim(message_id)
    scene.settle(claim)
    scene.settle(claim, failed(FailureKind.ADDRESS_REJECTED))
    assert scene.attempt_states(message_id) == [(1, "sent")]


@pytest.mark.parametrize(
    ("device", "outcome", "state"),
    [
        (True, SENT, MessageState.SENT),
        (False, SENT, MessageState.SENT),
        (True, failed(FailureKind.MESSAGE_REJECTED), MessageState.FAILED),
    ],
)
def test_a_message_that_ended_as_unknown_learns_later_what_it_was(
    scene: Scene, device: bool, outcome: Outcome, state: MessageState
) -> None:
    run_id = scene.opened(a_person(0, device=device), plan=a_plan(retries_unknown=False))
    [message_id] = scene.ids(run_id)
    frozen = scene.claim(message_id)
    scene.rewind(message_id, UNSETTLED_FOR)
    assert scene.decide(message_id).step == Done(MessageState.UNKNOWN)
    scene.settle(frozen, outcome)
    assert scene.message(message_id).state == state
    assert scene.proof(run_id).balanced


def test_a_worker_that_died_between_claim_and_record_leaves_unknown_and_then_a_retry(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.claim(message_id)
    waits = scene.decide(message_id).step
    assert isinstance(waits, Wait)
    assert waits.reason is HoldReason.IN_FLIGHT
    scene.rewind(message_id, UNSETTLED_FOR)
    retry = scene.claim(message_id)
    assert scene.attempt_states(message_id) == [(1, "unknown"), (2, "sending")]
    assert scene.attempts(message_id)[0].error_code == "worker_died"
    scene.settle(retry)
    assert scene.proof(run_id).balanced


def test_a_try_in_flight_is_left_alone_until_it_must_be_over(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    scene.claim(message_id)
    scene.rewind(message_id, UNSETTLED_FOR - timedelta(seconds=5))
    assert scene.decide(message_id).claim is None
    assert scene.attempt_states(message_id) == [(1, "sending")]


def test_where_it_may_not_be_repeated_an_unknown_outcome_is_the_end(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), plan=a_plan(retries_unknown=False))
    [message_id] = scene.ids(run_id)
    assert scene.settle(scene.claim(message_id), UNKNOWN).step == Done(MessageState.UNKNOWN)
    assert scene.proof(run_id).balanced


def test_a_released_try_sends_nothing_and_its_number_is_not_used_again(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.settle(scene.claim(message_id), RELEASED)
    message = scene.message(message_id)
    assert (message.state, message.hold_reason) == ("planned", "hand_over_limit")
    assert scene.decide(message_id).claim is None
    scene.rewind(message_id, timedelta(seconds=2))
    scene.send(message_id)
    assert scene.attempt_states(message_id) == [(1, "released"), (2, "sent")]
    assert scene.proof(run_id).balanced


def test_a_dead_address_is_dropped_for_all_later_runs_and_stored_as_a_hash_only(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    step = scene.settle(scene.claim(message_id), failed(FailureKind.ADDRESS_REJECTED)).step
    assert (step.channel, step.address) == ("mqtt", "device-0000")  # type: ignore[union-attr] # a Send
    [listed] = scene.stored(Suppression)
    assert "person" not in listed.address_hash
    [again] = scene.ids(scene.opened(a_person(0)))
    assert scene.decide(again).channel == "mqtt"


def test_what_a_busy_provider_asks_for_is_kept(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    decision = scene.settle(scene.claim(message_id), failed(FailureKind.BUSY, retry_after=120))
    assert isinstance(decision.step, Wait)
    assert decision.step.reason is HoldReason.PROVIDER_BUSY
    assert decision.step.until is not None
    assert timedelta(seconds=120) <= decision.step.until - decision.now <= timedelta(seconds=150)
    assert scene.message(message_id).due_at == decision.step.until


def test_the_record_of_an_erased_message_is_no_error(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    claim = scene.claim(message_id)
    scene.erase(message_id)
    with transaction(scene.engine) as session:
        record(session, claim, SENT, HASHER)
        assert decide(session, claim.message_id, HASHER) is None


def test_the_deadline_counts_from_the_record_of_the_hand_over(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    decision = scene.settle(scene.claim(message_id))
    [attempt] = scene.attempts(message_id)
    assert attempt.deadline is not None
    assert attempt.deadline - decision.now <= timedelta(hours=1)
    assert isinstance(decision.step, Wait)
    assert decision.step.until == attempt.deadline
    assert attempt.state == AttemptState.SENT


def test_a_release_that_comes_after_the_try_was_given_up_still_balances(scene: Scene) -> None:
    """A frozen worker thaws: its try counts as unknown by now, and it says that it never handed it over."""
    run_id = scene.opened(a_person(0), plan=a_plan(retries_unknown=False))
    [message_id] = scene.ids(run_id)
    frozen = scene.claim(message_id)
    scene.rewind(message_id, UNSETTLED_FOR)
    assert scene.decide(message_id).step == Done(MessageState.UNKNOWN)
    scene.settle(frozen, RELEASED)
    assert scene.message(message_id).state == MessageState.FAILED
    assert scene.proof(run_id).balanced


def test_a_receipt_that_comes_late_is_awaited_although_a_newer_try_has_failed(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    frozen = scene.claim(message_id)
    scene.rewind(message_id, UNSETTLED_FOR)
    scene.settle(scene.claim(message_id), failed(FailureKind.BUSY))
    step = scene.settle(frozen).step
    assert isinstance(step, Wait)
    assert step.reason is HoldReason.AWAITING


def test_an_outcome_is_recorded_while_somebody_holds_the_run(scene: Scene) -> None:
    """A cancel of very many people takes seconds; what is known of a send must not wait for it and be lost."""
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    claim = scene.claim(message_id)
    with transaction(scene.engine) as holder:
        locks.hold_run(holder, run_id)
        with transaction(scene.engine) as session:
            record(session, claim, SENT, HASHER)
    assert scene.attempt_states(message_id) == [(1, "sent")]
    assert scene.message(message_id).state == MessageState.SENT


def stands(scene: Scene, message_id: UUID) -> tuple[object, ...]:
    message = scene.message(message_id)
    return message.state, message.due_at, message.hold_reason, message.nudged_at


def recorded(scene: Scene, claim: Claim, outcome: Outcome = SENT) -> Decision | None:
    with transaction(scene.engine) as session:
        return record(session, claim, outcome, HASHER)


def test_what_the_record_of_a_hand_over_says_alone_is_what_a_decision_would_say(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    alone = recorded(scene, scene.claim(message_id))
    assert alone is not None
    stood = stands(scene, message_id)
    asked = scene.decide(message_id, None)
    assert (alone.step, alone.channel) == (asked.step, asked.channel) == (Wait(stood[1], HoldReason.AWAITING), "mqtt")  # type: ignore[arg-type] # a datetime
    assert stands(scene, message_id) == stood


@pytest.mark.parametrize("outcome", [UNKNOWN, RELEASED, *map(failed, FailureKind)])
def test_whatever_was_not_handed_over_is_decided_under_all_locks(scene: Scene, outcome: Outcome) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    assert recorded(scene, scene.claim(message_id), outcome) is None
    message = scene.message(message_id)
    assert message.due_at is not None
    assert message.due_at <= datetime.now(UTC)


def test_a_hand_over_that_nobody_answers_is_decided_under_all_locks(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0), plan=a_plan(awaits=frozenset())))
    assert recorded(scene, scene.claim(message_id)) is None
    assert scene.decide(message_id, None).step == Done(MessageState.SENT)


def test_a_hand_over_in_a_paused_run_is_decided_under_all_locks(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    claim = scene.claim(message_id)
    scene.set(run_id, state=RunState.PAUSED, paused_at=datetime.now(UTC))
    assert recorded(scene, claim) is None
    assert scene.decide(message_id, None).step == Wait(None, HoldReason.PAUSED)


def test_an_acknowledgement_that_came_before_the_record_is_the_end(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    claim = scene.claim(message_id)
    scene.acknowledge(claim.attempt_id)
    assert recorded(scene, claim) is None
    assert scene.decide(message_id, None).step == Done(MessageState.DELIVERED)
    assert scene.attempts(message_id)[0].provider_id == "accepted"
    assert scene.proof(run_id).balanced


def test_a_late_outcome_that_meets_a_cancel_is_recorded_on_what_the_cancel_has_made_of_it(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    claim = scene.claim(message_id)
    scene.rewind(message_id, timedelta(minutes=1))
    control.pause(scene.engine, run_id, "test")
    scene.decide(message_id)
    assert (scene.message(message_id).state, scene.attempt_states(message_id)) == ("planned", [(1, "unknown")])

    def record_it() -> None:
        with transaction(scene.engine) as other:
            record(other, claim, SENT, HASHER)

    with transaction(scene.engine) as session:
        assert withdraw_planned(session, run_id, datetime.now(UTC)) == 0
        with scene.meanwhile(record_it) as recording:
            scene.until_somebody_waits()
            session.commit()
    recording.result()
    scene.set(run_id, state=RunState.CANCELLED)
    assert (scene.message(message_id).state, scene.attempt_states(message_id)) == ("sent", [(1, "sent")])
    assert scene.proof(run_id).balanced
