"""Decisions under their locks: one at a time for a message, for a person and for a run."""

import random
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from db import control, locks
from db.decisions import decide
from db.engine import transaction
from db.tables import Attempt
from domain.ladder import Done, Send, Wait
from domain.states import FailureKind, HoldReason, MessageState
from tests.db.scene import HASHER, SENT, Scene, a_plan, failed, in_threads
from tests.fakes import a_person

CAPPED = a_plan(caps=[{"count": 1, "days": 7}])


def test_of_many_who_decide_on_one_message_only_one_claims_it(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    claims = in_threads(10, lambda _: scene.decide(message_id).claim)
    assert sum(claim is not None for claim in claims) == 1
    assert scene.attempt_states(message_id) == [(1, "sending")]


def test_a_claim_that_waited_for_a_pause_sees_the_pause(scene: Scene) -> None:
    """Lock, then look: the state is read in a statement of its own after the lock is there."""
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    with transaction(scene.engine) as session:
        locks.hold_run(session, run_id)
        with scene.meanwhile(lambda: scene.decide(message_id)) as claimed:
            scene.until_somebody_waits()
            session.execute(
                text("update drumbeat.runs set state = 'paused', paused_at = clock_timestamp() where id = :id"),
                {"id": run_id},
            )
            session.commit()
    assert claimed.result().step == Wait(None, HoldReason.PAUSED)
    assert scene.attempts(message_id) == []


def test_a_claim_that_waits_for_its_run_holds_neither_the_person_nor_the_message(scene: Scene) -> None:
    """The locks are taken one after the other, in the one order: else two claims could wait for each other."""
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    free = text("select pg_try_advisory_xact_lock(:key)")
    with transaction(scene.engine) as session:
        locks.hold_run(session, run_id)
        with scene.meanwhile(lambda: scene.decide(message_id)) as claimed:
            scene.until_somebody_waits()
            keys = [locks._key("person", "person-0000"), locks._key("message", str(message_id))]
            assert [session.scalar(free, {"key": key}) for key in keys] == [True, True]
            session.commit()
    assert claimed.result().claim is not None


def test_a_claim_holds_run_person_and_message_to_its_commit(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    free = text("select pg_try_advisory_xact_lock(:key)")
    keys = [
        locks._key(kind, name)
        for kind, name in (("run", str(run_id)), ("person", "person-0000"), ("message", str(message_id)))
    ]
    with transaction(scene.engine) as session, transaction(scene.engine) as other:
        decide(session, message_id, HASHER, send_on="fcm")
        assert [other.scalar(free, {"key": key}) for key in keys] == [False, False, False]


def test_the_clock_is_read_after_the_wait_for_the_locks(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    with transaction(scene.engine) as session:
        locks.hold_run(session, run_id)
        with scene.meanwhile(lambda: scene.decide(message_id)) as claimed:
            scene.until_somebody_waits()
            released_at = session.execute(text("select clock_timestamp()")).scalar_one()
            session.commit()
    assert claimed.result().now > released_at


def race_for_one_cap(scene: Scene) -> list[int]:
    """Two runs, ten people, one thread for each message: how many hand-overs each person gets."""
    people = [a_person(number) for number in range(10)]
    ids = [message_id for _ in range(2) for message_id in scene.ids(scene.opened(*people, plan=CAPPED))]
    in_threads(len(ids), lambda index: claim_slowly(scene, ids[index]))
    handed_over: dict[str | None, int] = dict.fromkeys((person.id for person in people), 0)
    for attempt in scene.stored(Attempt):
        handed_over[attempt.person_key] += 1
    return list(handed_over.values())


def claim_slowly(scene: Scene, message_id: object) -> None:
    with transaction(scene.engine) as session:
        decide(session, message_id, HASHER, send_on="fcm")  # type: ignore[arg-type] # an id of the scene
        time.sleep(random.uniform(0, 0.05))  # noqa: S311 - between claim and commit another run may look


def test_two_runs_that_race_for_one_cap_hand_over_once_to_each_person(scene: Scene) -> None:
    assert race_for_one_cap(scene) == [1] * 10


def test_four_runs_at_once_never_pass_a_cap_of_one_for_any_of_some_hundred_people(scene: Scene) -> None:
    """Each thread takes the next message of all: mostly another run's message to somebody who is just being claimed."""
    people = [a_person(number) for number in range(200)]
    runs = [scene.ids(scene.opened(*people, plan=CAPPED)) for _ in range(4)]
    ids = iter([message_id for together in zip(*runs, strict=True) for message_id in together])
    next_one = threading.Lock()

    def claim_on(_: int) -> int:
        claimed = 0
        while True:
            with next_one:
                message_id = next(ids, None)
            if message_id is None:
                return claimed
            claimed += scene.decide(message_id).claim is not None

    assert sum(in_threads(16, claim_on)) == len(people)
    handed_over = Counter(attempt.person_key for attempt in scene.stored(Attempt))
    assert handed_over == Counter({person.id: 1 for person in people})


def test_without_the_person_lock_the_cap_is_raced_so_the_test_above_can_fail(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_fact = locks.hold_to_decide
    monkeypatch.setattr(
        locks, "hold_to_decide", lambda session, run_id, _, message_id: in_fact(session, run_id, None, message_id)
    )
    assert max(race_for_one_cap(scene)) > 1


@pytest.mark.parametrize("outcome", [SENT, failed(FailureKind.MESSAGE_REJECTED)])
def test_a_cap_counts_what_was_handed_over_and_nothing_else(scene: Scene, outcome: object) -> None:
    [first] = scene.ids(scene.opened(a_person(0, channels=("fcm",)), plan=CAPPED))
    scene.send(first, outcome=outcome)  # type: ignore[arg-type] # an Outcome
    [second] = scene.ids(scene.opened(a_person(0), plan=CAPPED))
    step = scene.decide(second).step
    if outcome is SENT:
        assert isinstance(step, Wait)
        assert step.reason is HoldReason.CAP
        assert scene.message(second).hold_reason == "frequency_cap"
    else:
        assert isinstance(step, Send)


def test_a_fallback_is_not_held_up_by_the_hand_over_that_it_follows(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0), plan=CAPPED))
    scene.send(message_id)
    scene.silence(message_id)
    assert scene.decide(message_id, "mqtt").claim is not None


def test_a_device_without_an_owner_has_no_cap(scene: Scene) -> None:
    nobody = replace(a_person(0), person_key=None)
    for _ in range(2):
        [message_id] = scene.ids(scene.opened(nobody, plan=CAPPED))
        assert scene.decide(message_id).claim is not None


def test_nothing_is_claimed_on_another_channels_queue(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    decision = scene.decide(message_id, "mqtt")
    assert (decision.claim, decision.channel) == (None, "fcm")
    assert scene.attempts(message_id) == []


def test_a_channel_that_could_not_be_prepared_is_left_alone_and_nothing_is_claimed(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    with transaction(scene.engine) as session:
        decision = decide(session, message_id, HASHER, send_on="fcm", not_ready_for=timedelta(seconds=30))
    assert decision is not None
    assert decision.step == Wait(decision.now + timedelta(seconds=30), HoldReason.PROVIDER_BUSY)
    assert scene.attempts(message_id) == []


def test_before_a_claim_the_silent_try_before_it_has_expired(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    scene.silence(message_id)
    scene.send(message_id, "mqtt")
    assert scene.attempt_states(message_id) == [(1, "expired"), (2, "sent")]
    scene.silence(message_id)
    assert scene.decide(message_id).step == Done(MessageState.EXPIRED)
    assert scene.attempt_states(message_id) == [(1, "expired"), (2, "expired")]
    assert scene.proof(run_id).balanced


def test_a_fallback_that_is_too_late_is_not_sent(scene: Scene) -> None:
    """Late is not always better: more than one ttl after its time, as after a long outage, there is no fallback."""
    [message_id] = scene.ids(scene.opened(a_person(0), plan=a_plan(max_lateness_seconds=60)))
    scene.send(message_id)
    scene.silence(message_id, late_by=timedelta(seconds=61))
    assert scene.decide(message_id, "mqtt").step == Done(MessageState.EXPIRED)
    [in_time] = scene.ids(scene.opened(a_person(0), plan=a_plan(max_lateness_seconds=60)))
    scene.send(in_time)
    scene.silence(in_time, late_by=timedelta(seconds=50))
    assert scene.decide(in_time, "mqtt").claim is not None


def test_past_valid_until_nothing_is_sent_any_more(scene: Scene) -> None:
    plan = a_plan(valid_for_seconds=3600)
    run_id = scene.opened(a_person(0), a_person(1), plan=plan)
    untouched, sent = scene.ids(run_id)
    scene.send(sent)
    scene.silence(sent)
    started = scene.run(run_id).started_at
    assert started is not None
    scene.set(run_id, started_at=started - timedelta(hours=1))
    assert scene.decide(untouched).step == Done(MessageState.SUPPRESSED, "valid_until")
    assert scene.decide(sent, "mqtt").step == Done(MessageState.EXPIRED)
    assert scene.proof(run_id).balanced


def test_a_message_that_was_erased_is_nobodys_any_more(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    scene.erase(message_id)
    with transaction(scene.engine) as session:
        assert decide(session, message_id, HASHER, send_on="fcm") is None


@pytest.mark.parametrize("state", ["queued", "paused", "cancelled", "failed", "closed"])
def test_a_run_that_does_not_send_claims_nothing(scene: Scene, state: str) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.set(run_id, state=state)
    assert scene.decide(message_id).claim is None
    assert scene.attempts(message_id) == []


def test_every_wait_is_written_down_with_its_time_and_its_reason(scene: Scene) -> None:
    """Nothing waits only for a nudge: `due_at`, or a `hold_reason` that Sweep knows how to end."""
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    assert scene.message(message_id).due_at is not None
    claim = scene.claim(message_id)
    assert scene.message(message_id).due_at is not None
    scene.settle(claim)
    sent = scene.message(message_id)
    assert (sent.due_at is not None, sent.hold_reason) == (True, None)
    scene.silence(message_id)
    control.pause(scene.engine, run_id, "test")
    scene.decide(message_id, "mqtt")
    held = scene.message(message_id)
    assert (held.due_at, held.hold_reason, held.state) == (None, "paused", "sent")
