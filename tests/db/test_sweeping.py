"""Whom Sweep finds: everybody who waits for nothing, nobody who is looked after, and nobody twice at once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db import control
from db.engine import transaction
from db.runs import open_run
from db.sweeping import OVERDUE_BY, Overdue, count_sweep, count_unmoved, forget_told, take_overdue
from db.tables import AuditEntry, Run, SweepCount
from domain.states import FailureKind, RunState
from tests.db.scene import Scene, a_plan, failed, in_threads
from tests.fakes import a_person


def take(scene: Scene, limit: int = 100) -> list[Overdue]:
    with transaction(scene.engine) as session:
        return take_overdue(session, limit)


def found(scene: Scene) -> set[UUID]:
    return {each.message_id for each in take(scene)}


def overdue(scene: Scene, message_id: UUID) -> None:
    scene.set_message(message_id, due_at=datetime.now(UTC) - OVERDUE_BY - timedelta(seconds=1))


def test_nobody_who_is_looked_after_is_found(scene: Scene) -> None:
    run_id = scene.opened(*(a_person(number) for number in range(4)))
    _, flying, sent, busy = scene.ids(run_id)
    scene.claim(flying)
    scene.send(sent)
    scene.send(busy, outcome=failed(FailureKind.BUSY, retry_after=60))
    assert found(scene) == set()


def test_a_message_that_no_workflow_looked_at_in_its_time_is_found(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), a_person(1))
    lost, _ = scene.ids(run_id)
    overdue(scene, lost)
    assert take(scene) == [Overdue(lost, "fcm", ended=False)]


def test_a_message_in_a_batch_that_was_never_opened_is_not_found(scene: Scene) -> None:
    scene.snapshot(a_person(0))
    assert found(scene) == set()


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.FAILED])
def test_while_the_run_does_not_move_nobody_is_called(scene: Scene, state: RunState) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    overdue(scene, message_id)
    scene.set(run_id, state=state)
    assert found(scene) == set()


def test_who_was_held_by_a_pause_is_found_after_it_and_not_before(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), a_person(1))
    planned, sent = scene.ids(run_id)
    scene.send(sent)
    control.pause(scene.engine, run_id, "test")
    scene.silence(sent)
    for message_id in (planned, sent):
        scene.decide(message_id)
    assert found(scene) == set()
    control.resume(scene.engine, run_id, "test")
    assert found(scene) == {planned, sent}


def test_who_was_held_back_is_found_as_soon_as_they_are_released(scene: Scene) -> None:
    run_id = scene.opened(*(a_person(number) for number in range(3)))
    scene.set(run_id, released_up_to=1)
    first, second, third = scene.ids(run_id)
    for message_id in (second, third):
        scene.decide(message_id)
    assert found(scene) == set()
    control.release(scene.engine, run_id, "test", 2)
    assert found(scene) == {second}
    assert first not in found(scene)


def test_who_was_held_by_a_pause_is_found_after_a_cancel(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    scene.silence(message_id)
    control.pause(scene.engine, run_id, "test")
    scene.decide(message_id)
    control.cancel(scene.engine, run_id, "test")
    assert found(scene) == {message_id}


def test_an_ended_message_whose_workflow_waits_without_a_timer_is_found_until_it_was_told(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id)
    scene.silence(message_id)
    control.pause(scene.engine, run_id, "test")
    scene.decide(message_id)
    scene.acknowledge(attempt_id)
    overdue(scene, message_id)
    assert take(scene) == [Overdue(message_id, "fcm", ended=True)]
    scene.decide(message_id)
    scene.set_message(message_id, nudged_at=None)
    assert found(scene) == set()


def test_an_ended_message_without_a_workflow_is_forgotten_and_an_unfinished_one_never(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), a_person(1))
    withdrawn, other = scene.ids(run_id)
    control.cancel(scene.engine, run_id, "test")
    scene.set_message(other, ended_at=None, state="sent")
    with transaction(scene.engine) as session:
        forget_told(session, [withdrawn, other])
    assert scene.message(withdrawn).due_at is None
    assert scene.message(other).due_at is not None


def test_a_page_that_was_called_is_not_found_again_at_once_but_when_it_has_not_moved(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    overdue(scene, message_id)
    assert found(scene) == {message_id}
    assert found(scene) == set()
    scene.set_message(message_id, nudged_at=datetime.now(UTC) - timedelta(minutes=1))
    assert found(scene) == {message_id}


def test_a_called_message_has_moved_as_soon_as_somebody_has_decided_on_it(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), a_person(1))
    ids = scene.ids(run_id)
    for message_id in ids:
        overdue(scene, message_id)
    take(scene)
    scene.claim(ids[0])
    with transaction(scene.engine) as session:
        assert count_unmoved(session, ids) == 1


def test_the_longest_overdue_come_first_and_no_more_than_a_page(scene: Scene) -> None:
    run_id = scene.opened(*(a_person(number) for number in range(5)))
    ids = scene.ids(run_id)
    for age, message_id in enumerate(ids):
        scene.set_message(message_id, due_at=datetime.now(UTC) - timedelta(minutes=1 + age))
    assert [each.message_id for each in take(scene, limit=2)] == [ids[4], ids[3]]
    assert [each.message_id for each in take(scene, limit=9)] == [ids[2], ids[1], ids[0]]


def test_of_several_sweeps_at_once_each_message_is_called_by_one(scene: Scene) -> None:
    run_id = scene.opened(*(a_person(number) for number in range(40)))
    for message_id in scene.ids(run_id):
        overdue(scene, message_id)
    pages = in_threads(4, lambda _: [each.message_id for each in take(scene, limit=40)])
    called = [message_id for page in pages for message_id in page]
    assert len(called) == len(set(called)) == 40


def test_whom_to_ask_first_follows_from_the_addresses(scene: Scene) -> None:
    run_id = scene.opened(a_person(0, channels=("mqtt",)))
    [message_id] = scene.ids(run_id)
    overdue(scene, message_id)
    assert [each.channel for each in take(scene)] == ["mqtt"]


def sweep(scene: Scene, remembered: int | None) -> tuple[int, int]:
    with transaction(scene.engine) as session:
        return count_sweep(session, remembered)


def test_a_database_that_knows_fewer_sweeps_than_temporal_was_restored_and_pauses_all_runs(scene: Scene) -> None:
    running, queued, scheduled = scene.opened(a_person(0)), scene.queued(), scene.queued()
    scene.set(scheduled, state=RunState.SCHEDULED, begun_at=None)
    closed = scene.opened(a_person(1))
    scene.set(closed, state=RunState.CLOSED)
    assert [sweep(scene, None), sweep(scene, 1), sweep(scene, 2)] == [(1, 0), (2, 0), (3, 0)]
    with transaction(scene.engine) as session:
        session.get_one(SweepCount, 1).count = 1
    assert sweep(scene, 3) == (4, 3)
    for run_id in (running, queued, scheduled):
        run = scene.run(run_id)
        assert (run.state, run.state_reason, run.paused_at is None) == (RunState.PAUSED, "restored_database", False)
        assert scene.audit(run_id) == [("sweep", "pause")]
    assert scene.run(closed).state == RunState.CLOSED
    assert sweep(scene, 4) == (5, 0)


def test_a_database_without_any_count_counts_as_restored_too(scene: Scene) -> None:
    scene.opened(a_person(0))
    assert sweep(scene, 7) == (8, 1)


def test_a_sweep_that_was_counted_here_and_not_remembered_there_pauses_nobody(scene: Scene) -> None:
    scene.opened(a_person(0))
    assert [sweep(scene, None), sweep(scene, None), sweep(scene, 1)] == [(1, 0), (2, 0), (3, 0)]


def test_a_run_is_opened_once_and_says_so_once(scene: Scene) -> None:
    for _ in range(2):
        with transaction(scene.engine) as session:
            open_run(
                session,
                workflow_id="run:probe-x",
                campaign="probe",
                slot="x",
                parameters={},
                plan=a_plan(),
                actor="ada",
            )
    [run] = scene.stored(Run)
    assert [(entry.actor, entry.action) for entry in scene.stored(AuditEntry, run_id=run.id)] == [("ada", "start")]
