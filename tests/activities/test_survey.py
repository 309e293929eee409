"""When a run looks again: soon where it waits for room, seldom where it only waits for answers."""

from datetime import UTC, datetime, timedelta

from activities.orders import SurveyOrder
from activities.running import LATEST_LOOK, SOONEST_LOOK, Running
from campaigns.registry import Registry
from tests.db.scene import Scene, a_plan
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
