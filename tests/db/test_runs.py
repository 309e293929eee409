"""Runs: found by what people call them, and moved on to their end."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from db.engine import transaction
from db.runs import RunView, fail_run, find_run, list_runs, move_on
from domain.ids import run_id_of
from domain.problems import NoSuchRunError
from domain.states import RunState
from tests.db.scene import Scene
from tests.fakes import a_person


def find(scene: Scene, reference: str) -> RunView:
    with transaction(scene.engine) as session:
        return find_run(session, reference)


@pytest.mark.parametrize("call", ["uuid", "upper", "prefix", "workflow", "slot"])
def test_a_run_is_found_by_its_uuid_the_beginning_of_it_its_workflow_and_its_slot(scene: Scene, call: str) -> None:
    run_id = scene.snapshot(slot="2026-11-23T09:00:00Z")
    scene.snapshot(slot="another")
    references = {
        "uuid": str(run_id),
        "upper": str(run_id).upper(),
        "prefix": str(run_id)[:8],
        "workflow": "run:probe-2026-11-23T09:00:00Z",
        "slot": "probe-2026-11-23T09:00:00Z",
    }
    assert find(scene, references[call]).id == run_id


@pytest.mark.parametrize("reference", ["", "probe", "%%%%%%%%", "________", str(uuid4()), "a", "run:probe-"])
def test_what_names_no_run_is_refused_with_what_to_do(scene: Scene, reference: str) -> None:
    scene.snapshot()
    with pytest.raises(NoSuchRunError, match="drumbeat runs"):
        find(scene, reference)


def test_less_than_8_characters_name_nothing(scene: Scene) -> None:
    run_id = scene.snapshot()
    with pytest.raises(NoSuchRunError):
        find(scene, str(run_id)[:7])


def test_the_newest_runs_are_listed_first_and_in_pages(scene: Scene) -> None:
    ids = [scene.snapshot() for _ in range(3)]
    with transaction(scene.engine) as session:
        first = list_runs(session, limit=2)
        rest = list_runs(session, limit=2, before=first[-1].created_at)
    assert [run.id for run in (*first, *rest)] == ids[::-1]


def move(scene: Scene, run_id: object) -> RunState:
    with transaction(scene.engine) as session:
        return move_on(session, run_id)  # type: ignore[arg-type] # an id of the scene


def test_a_run_is_completed_when_all_is_sent_and_closed_when_nothing_is_awaited(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), a_person(1))
    first, second = scene.ids(run_id)
    one = scene.send(first)
    assert move(scene, run_id) is RunState.RUNNING
    other = scene.send(second)
    assert move(scene, run_id) is RunState.COMPLETED
    assert (scene.run(run_id).completed_at is None, scene.run(run_id).closed_at) == (False, None)
    scene.acknowledge(one)
    assert move(scene, run_id) is RunState.COMPLETED
    scene.acknowledge(other)
    assert move(scene, run_id) is RunState.CLOSED
    assert scene.run(run_id).closed_at is not None


def test_a_held_message_is_not_completed(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    scene.set_message(message_id, hold_reason="provider_busy")
    assert move(scene, run_id) is RunState.RUNNING


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.QUEUED, RunState.FAILED])
def test_a_run_that_does_not_run_is_not_moved_on(scene: Scene, state: RunState) -> None:
    run_id = scene.snapshot()
    scene.set(run_id, state=state)
    assert move(scene, run_id) is state
    assert scene.run(run_id).closed_at is None


def test_a_cancelled_run_is_closed_and_stays_cancelled(scene: Scene) -> None:
    run_id = scene.snapshot()
    scene.set(run_id, state=RunState.CANCELLED, cancelled_at=datetime.now(UTC))
    assert move(scene, run_id) is RunState.CANCELLED
    assert scene.run(run_id).closed_at is not None


def test_a_run_without_an_audience_yet_is_not_closed(scene: Scene) -> None:
    run_id = scene.queued()
    scene.set(run_id, state=RunState.RUNNING)
    assert move(scene, run_id) is RunState.RUNNING


def test_a_failed_run_says_why_and_a_running_one_is_not_failed(scene: Scene) -> None:
    queued, running = scene.queued(), scene.snapshot()
    with transaction(scene.engine) as session:
        for run_id in (queued, running):
            fail_run(session, run_id, "the table is not there")
    failed = scene.run(queued)
    assert (failed.state, failed.state_reason) == (RunState.FAILED, "the table is not there")
    assert scene.run(running).state == RunState.RUNNING


def test_a_runs_id_follows_from_its_workflow(scene: Scene) -> None:
    assert scene.snapshot(slot="x") == run_id_of("run:probe-x")
