"""When a run looks again: soon where it waits for room, seldom where it only waits for answers."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from activities.orders import Survey, SurveyOrder
from activities.running import JUST_AFTER, LATEST_LOOK, SOONEST_LOOK, Running
from campaigns.registry import Registry
from domain.plan import Halt, Launch
from domain.states import FailureKind
from tests.db.scene import Scene, a_plan, failed
from tests.fakes import a_person

PLAN = a_plan(batch_size=2, batches_at_once=1)


def look_again(scene: Scene, *, sent: int) -> timedelta:
    """Of a run of three that is hours old: a batch of two was opened, and so many of it were handed over."""
    run_id = scene.snapshot(*(a_person(number) for number in range(3)), plan=PLAN)
    scene.open_batch(run_id, 1)
    for message_id in scene.ids(run_id)[:sent]:
        scene.send(message_id)
    scene.set(run_id, created_at=datetime.now(UTC) - timedelta(hours=5))
    survey = Running(scene.engine, Registry({})).survey_run(SurveyOrder(run_id=run_id))
    assert survey.next_batch == (2 if sent else None)
    return timedelta(seconds=survey.look_again_seconds)


def test_an_old_run_whose_pile_is_full_looks_soon_since_nobody_tells_it_that_there_is_room(scene: Scene) -> None:
    assert look_again(scene, sent=0) == SOONEST_LOOK


def test_an_old_run_that_has_room_need_not_look_often(scene: Scene) -> None:
    assert look_again(scene, sent=1) == LATEST_LOOK


def survey(scene: Scene, run_id: UUID) -> Survey:
    return Running(scene.engine, Registry({})).survey_run(SurveyOrder(run_id=run_id))


def three(scene: Scene, launch: Launch, halt: Halt | None = None) -> UUID:
    """Hours old, so that it would look once a minute."""
    people = (a_person(number, channels=("fcm",)) for number in range(3))
    run_id = scene.snapshot(*people, plan=a_plan("fcm", launch=launch, halt=halt or Halt(), batch_size=1))
    scene.set(run_id, created_at=datetime.now(UTC) - timedelta(hours=5))
    return run_id


def test_a_run_looks_again_when_its_undo_window_is_over_and_opens_its_first_batch_in_that_look(scene: Scene) -> None:
    run_id = three(scene, Launch(undo_seconds=20))
    waiting = survey(scene, run_id)
    assert (waiting.state, waiting.next_batch) == ("paused", None)
    assert 10 < waiting.look_again_seconds <= 20 + JUST_AFTER.total_seconds()
    scene.set(run_id, resumes_at=datetime.now(UTC) - timedelta(seconds=1))
    over = survey(scene, run_id)
    assert (over.state, over.next_batch) == ("running", 1)


def test_a_run_looks_again_when_its_canary_was_watched(scene: Scene) -> None:
    run_id = three(scene, Launch(canary_percent=30, canary_watch_seconds=20))
    assert survey(scene, run_id).next_batch == 1
    scene.open_batch(run_id, 1)
    scene.send(scene.ids(run_id)[0])
    watched = survey(scene, run_id)
    assert watched.next_batch is None
    assert 10 < watched.look_again_seconds <= 20 + JUST_AFTER.total_seconds()
    scene.set(
        run_id, canary_settled_at=datetime.now(UTC) - timedelta(seconds=30), watched_from=scene.run(run_id).created_at
    )
    assert survey(scene, run_id).next_batch == 2


def test_a_look_that_finds_a_threshold_passed_opens_no_further_batch(scene: Scene) -> None:
    run_id = three(scene, Launch(), Halt(failure_percent=20, after=1))
    scene.open_batch(run_id, 1)
    scene.send(scene.ids(run_id)[0], outcome=failed(FailureKind.MESSAGE_REJECTED))
    halted = survey(scene, run_id)
    assert (halted.state, halted.next_batch) == ("paused", None)
