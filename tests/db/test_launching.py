"""The canary, and the figures at which a run pauses by itself, counted from real rows."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db import control
from db.engine import transaction
from db.launching import LaunchStand, launch_stand, look_after_launch
from db.runs import plan_of
from db.tables import AuditEntry, Suppression
from db.watched import watched_figures
from domain.launching import Share, Watched
from domain.plan import Halt, Launch
from domain.states import FailureKind, RunState
from tests.db.scene import Scene, a_plan, failed
from tests.fakes import a_person

REFUSED = failed(FailureKind.MESSAGE_REJECTED)
NO_CARE, NO_HALT = Launch(), Halt()
MINUTE = timedelta(minutes=1)


def a_run(
    scene: Scene, number: int, *, launch: Launch = NO_CARE, halt: Halt = NO_HALT, limit: int | None = None
) -> UUID:
    """By fcm alone, all of its released messages opened."""
    people = (a_person(each, channels=("fcm",)) for each in range(number))
    run_id = scene.snapshot(*people, plan=a_plan("fcm", launch=launch, halt=halt), limit=limit)
    scene.open_batch(run_id, 1)
    return run_id


def canary_of(percent: float, watch_seconds: int = 600) -> Launch:
    return Launch(canary_percent=percent, canary_watch_seconds=watch_seconds)


def stand(scene: Scene, run_id: UUID) -> LaunchStand | None:
    with transaction(scene.engine) as session:
        return launch_stand(session, scene.run(run_id))


def figures(scene: Scene, run_id: UUID) -> Watched:
    with transaction(scene.engine) as session:
        return watched_figures(session, scene.run(run_id), plan_of(session, run_id))


def refuse(scene: Scene, ids: list[UUID]) -> None:
    for message_id in ids:
        scene.send(message_id, outcome=REFUSED)


def send(scene: Scene, ids: list[UUID]) -> list[UUID]:
    return [scene.send(message_id) for message_id in ids]


def test_a_canary_goes_first_and_the_others_follow_when_it_was_watched(scene: Scene) -> None:
    run_id = a_run(scene, 10, launch=canary_of(20))
    assert (scene.run(run_id).released_up_to, scene.run(run_id).canary) == (2, 2)
    ids = scene.ids(run_id)
    assert [scene.message(each).due_at is not None for each in ids] == [True, True] + [False] * 8
    assert stand(scene, run_id) == LaunchStand(canary=2, canary_waiting=2)

    send(scene, ids[:1])
    assert look_after_launch(scene.engine, run_id) is None
    assert stand(scene, run_id) == LaunchStand(canary=2, canary_waiting=1)

    send(scene, ids[1:2])
    until = look_after_launch(scene.engine, run_id)
    settled_at = scene.run(run_id).canary_settled_at
    assert settled_at is not None
    assert until == settled_at + timedelta(seconds=600)
    assert stand(scene, run_id) == LaunchStand(canary=2, others_go_at=until)
    look_after_launch(scene.engine, run_id)
    assert scene.run(run_id).released_up_to == 2

    scene.set(run_id, canary_settled_at=settled_at - 11 * MINUTE, watched_from=settled_at - 20 * MINUTE)
    assert look_after_launch(scene.engine, run_id) is None
    run = scene.run(run_id)
    assert (run.released_up_to, run.canary) == (None, None)
    assert scene.audit(run_id) == [("drumbeat", "release")]


def test_what_ended_without_being_handed_over_is_not_waited_for(scene: Scene) -> None:
    run_id = a_run(scene, 10, launch=canary_of(10, watch_seconds=0))
    refuse(scene, scene.ids(run_id)[:1])
    look_after_launch(scene.engine, run_id)
    assert scene.run(run_id).canary is None


@pytest.mark.parametrize("reason", ["frequency_cap", "quiet_hours", "window"])
def test_the_others_do_not_wait_for_days_for_one_of_the_canary_whom_a_rule_puts_off(scene: Scene, reason: str) -> None:
    run_id = a_run(scene, 10, launch=canary_of(20))
    first, second, *_ = scene.ids(run_id)
    scene.set_message(first, hold_reason=reason)
    assert stand(scene, run_id) == LaunchStand(canary=2, canary_waiting=1)
    send(scene, [second])
    assert look_after_launch(scene.engine, run_id) is not None
    assert scene.run(run_id).canary_settled_at is not None


def test_a_canary_of_whom_everybody_is_put_off_says_nothing_yet(scene: Scene) -> None:
    run_id = a_run(scene, 10, launch=canary_of(20))
    for each in scene.ids(run_id)[:2]:
        scene.set_message(each, hold_reason="quiet_hours")
    assert look_after_launch(scene.engine, run_id) is None
    assert scene.run(run_id).canary_settled_at is None


def test_a_busy_provider_is_waited_for(scene: Scene) -> None:
    run_id = a_run(scene, 10, launch=canary_of(20))
    scene.set_message(scene.ids(run_id)[0], hold_reason="provider_busy")
    send(scene, scene.ids(run_id)[1:2])
    assert look_after_launch(scene.engine, run_id) is None
    assert scene.run(run_id).canary_settled_at is None


def test_after_the_canary_no_more_go_than_were_asked_for(scene: Scene) -> None:
    run_id = a_run(scene, 10, limit=5, launch=canary_of(10, watch_seconds=0))
    assert scene.run(run_id).released_up_to == 1
    send(scene, scene.ids(run_id)[:1])
    look_after_launch(scene.engine, run_id)
    assert scene.run(run_id).released_up_to == 5


def test_a_canary_as_large_as_what_was_asked_for_is_none(scene: Scene) -> None:
    run = scene.run(a_run(scene, 10, limit=2, launch=canary_of(50)))
    assert (run.released_up_to, run.canary) == (2, None)


def test_a_release_by_hand_ends_the_canary_early(scene: Scene) -> None:
    run_id = a_run(scene, 10, launch=canary_of(10))
    control.release(scene.engine, run_id, "test", None)
    assert stand(scene, run_id) is None
    assert (scene.run(run_id).released_up_to, scene.run(run_id).canary) == (None, None)


def test_nobody_is_released_while_the_run_is_paused_and_it_is_watched_anew_afterwards(scene: Scene) -> None:
    run_id = a_run(scene, 10, launch=canary_of(10))
    send(scene, scene.ids(run_id)[:1])
    look_after_launch(scene.engine, run_id)
    control.pause(scene.engine, run_id, "test")
    scene.set(run_id, canary_settled_at=datetime.now(UTC) - 60 * MINUTE)
    assert look_after_launch(scene.engine, run_id) is None
    assert scene.run(run_id).released_up_to == 1
    control.resume(scene.engine, run_id, "test")
    until = look_after_launch(scene.engine, run_id)
    assert until is not None
    assert until > datetime.now(UTC) + 9 * MINUTE
    assert scene.run(run_id).released_up_to == 1


def test_a_canary_that_fails_halts_the_run_and_nobody_else_goes(scene: Scene) -> None:
    run_id = a_run(scene, 10, halt=Halt(failure_percent=20), launch=canary_of(20, watch_seconds=0))
    refuse(scene, scene.ids(run_id)[:2])
    look_after_launch(scene.engine, run_id)
    run = scene.run(run_id)
    assert run.state is RunState.PAUSED
    assert run.state_reason == "halted: 100.0 % of 2 tried have failed, more than 20 % (HALT_FAILURE_PERCENT)"
    assert (run.released_up_to, run.canary) == (2, 2)


def test_a_run_halts_at_its_share_of_failures_with_the_figure_in_the_audit_log_too(scene: Scene) -> None:
    run_id = a_run(scene, 10, halt=Halt(failure_percent=20, after=5))
    ids = scene.ids(run_id)
    send(scene, ids[:4])
    refuse(scene, ids[4:5])
    look_after_launch(scene.engine, run_id)
    assert scene.run(run_id).state is RunState.RUNNING  # 20 %, and not more
    refuse(scene, ids[5:6])
    look_after_launch(scene.engine, run_id)
    reason = "halted: 33.3 % of 6 tried have failed, more than 20 % (HALT_FAILURE_PERCENT)"
    assert scene.run(run_id).state_reason == reason
    [entry] = [each for each in scene.stored(AuditEntry, run_id=run_id) if each.action == "pause"]
    assert (entry.actor, entry.details) == ("drumbeat", {"reason": reason})


def test_a_resume_after_a_halt_is_not_undone_by_the_same_figures(scene: Scene) -> None:
    run_id = a_run(scene, 10, halt=Halt(failure_percent=20, after=2))
    ids = scene.ids(run_id)
    refuse(scene, ids[:3])
    look_after_launch(scene.engine, run_id)
    control.resume(scene.engine, run_id, "test")
    look_after_launch(scene.engine, run_id)
    assert scene.run(run_id).state is RunState.RUNNING
    refuse(scene, ids[3:5])
    look_after_launch(scene.engine, run_id)
    assert "100.0 % of 2 tried" in (scene.run(run_id).state_reason or "")


def test_what_waits_for_a_busy_provider_has_not_failed_and_what_is_not_known_neither(scene: Scene) -> None:
    run_id = a_run(scene, 4)
    ids = scene.ids(run_id)
    scene.send(ids[0], outcome=failed(FailureKind.BUSY, retry_after=60))
    scene.claim(ids[1])
    send(scene, ids[2:3])
    assert figures(scene, run_id).failed == Share(0, 1)


def test_a_person_reached_on_the_next_rung_has_not_failed(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id, outcome=REFUSED)
    scene.send(message_id, "mqtt")
    assert figures(scene, run_id).failed == Share(0, 1)


def test_acknowledgements_count_of_those_alone_whose_time_is_up(scene: Scene) -> None:
    run_id = a_run(scene, 4)
    ids = scene.ids(run_id)
    attempts = send(scene, ids)
    scene.acknowledge(attempts[0])
    assert figures(scene, run_id).acknowledged == Share(0, 0)  # the quick one would flatter it
    for message_id in ids[:3]:
        scene.silence(message_id)
    for message_id in ids[1:3]:
        scene.decide(message_id, None)
    assert figures(scene, run_id).acknowledged == Share(1, 3)


def test_the_time_of_a_ladder_is_up_when_that_of_all_its_rungs_is(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), plan=a_plan("fcm", "mqtt", ttl_seconds=3600))
    [message_id] = scene.ids(run_id)
    scene.acknowledge(scene.send(message_id))
    scene.silence(message_id, late_by=timedelta(minutes=59))
    assert figures(scene, run_id).acknowledged == Share(0, 0)
    scene.silence(message_id, late_by=timedelta(minutes=61))
    assert figures(scene, run_id).acknowledged == Share(1, 1)


def test_too_few_acknowledgements_halt_a_run(scene: Scene) -> None:
    run_id = a_run(scene, 3, halt=Halt(acknowledged_percent=50, after=3))
    ids = scene.ids(run_id)
    attempts = send(scene, ids)
    scene.acknowledge(attempts[0])
    for message_id in ids:
        scene.silence(message_id)
        scene.decide(message_id, None)
    look_after_launch(scene.engine, run_id)
    assert scene.run(run_id).state_reason == (
        "halted: 33.3 % of 3 whose time is up have acknowledged, fewer than 50 % (HALT_ACKNOWLEDGED_PERCENT)"
    )


def complain(scene: Scene, run_id: UUID, *rows: tuple[str, str], source: str = "person") -> None:
    with transaction(scene.engine) as session:
        for channel, address_hash in rows:
            session.add(
                Suppression(
                    channel=channel, address_hash=address_hash, reason="unsubscribed", source=source, run_id=run_id
                )
            )


def test_one_persons_unsubscription_is_one_complaint_however_many_addresses_it_covers(scene: Scene) -> None:
    run_id, other = a_run(scene, 4), a_run(scene, 1)
    send(scene, scene.ids(run_id))
    complain(scene, run_id, ("person", "one"), ("fcm", "a"), ("fcm", "b"), ("mqtt", "c"))
    complain(scene, run_id, ("fcm", "dead"), source="provider")
    complain(scene, other, ("person", "two"))
    assert figures(scene, run_id).complained == Share(1, 4)


def test_complaints_of_people_who_are_not_known_are_counted_by_their_addresses(scene: Scene) -> None:
    run_id = a_run(scene, 4)
    send(scene, scene.ids(run_id))
    complain(scene, run_id, ("fcm", "a"), ("fcm", "b"), ("mqtt", "c"))
    assert figures(scene, run_id).complained == Share(2, 4)


def test_complaints_halt_a_run(scene: Scene) -> None:
    run_id = a_run(scene, 4, halt=Halt(complaint_percent=10, after=4))
    send(scene, scene.ids(run_id))
    look_after_launch(scene.engine, run_id)
    assert scene.run(run_id).state is not RunState.PAUSED
    complain(scene, run_id, ("person", "one"))
    look_after_launch(scene.engine, run_id)
    reason = "halted: 25.0 % of 4 handed over complained, more than 10 % (HALT_COMPLAINT_PERCENT)"
    assert scene.run(run_id).state_reason == reason


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.CANCELLED])
def test_a_run_that_sends_nothing_is_not_halted(scene: Scene, state: RunState) -> None:
    run_id = a_run(scene, 3, halt=Halt(failure_percent=20, after=1))
    refuse(scene, scene.ids(run_id)[:2])
    scene.set(run_id, state=state, state_reason="operator", paused_at=datetime.now(UTC))
    look_after_launch(scene.engine, run_id)
    assert scene.run(run_id).state_reason == "operator"


def test_without_a_threshold_no_figure_is_asked_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = a_run(scene, 3, launch=canary_of(50))
    monkeypatch.setattr("db.launching.watched_figures", None)
    look_after_launch(scene.engine, run_id)
    assert scene.run(run_id).state is RunState.RUNNING
