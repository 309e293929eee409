"""Approval and undo window: nothing is sent before they are passed, whoever tries to slip past them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db import control, launching
from db.engine import transaction
from db.launching import end_undo_window, look_after_launch
from db.sweeping import count_sweep
from domain.launching import Gate
from domain.plan import Launch, Plan
from domain.problems import SecondKeyNeededError, WrongStateError
from domain.states import RunState
from tests.db.scene import Scene, a_plan
from tests.fakes import a_person


def careful(**launch: object) -> Plan:
    return a_plan(launch=Launch.model_validate(launch))


def three(scene: Scene, plan: Plan, actor: str | None = "starter") -> UUID:
    return scene.snapshot(*(a_person(number) for number in range(3)), plan=plan, actor=actor)


def pass_time(scene: Scene, run_id: UUID) -> None:
    scene.set(run_id, resumes_at=datetime.now(UTC) - timedelta(seconds=1))


def test_a_large_run_waits_for_its_approval_and_sends_nothing(scene: Scene) -> None:
    run_id = three(scene, careful(approval_above=2))
    run = scene.run(run_id)
    assert (run.state, run.gate, run.started_by) == (RunState.PAUSED, Gate.APPROVAL, "starter")
    assert run.state_reason == "approval awaited: 3 messages are more than 2 (APPROVAL_ABOVE)"
    scene.open_batch(run_id, 1)
    assert all(scene.message(each).due_at is None for each in scene.ids(run_id))


def test_a_smaller_run_goes_at_once(scene: Scene) -> None:
    assert scene.run(three(scene, careful(approval_above=3))).state is RunState.RUNNING


def test_somebody_else_approves_and_the_run_goes(scene: Scene) -> None:
    run_id = three(scene, careful(approval_above=2))
    approved = launching.approve(scene.engine, run_id, "second")
    assert (approved.targeted, approved.state, approved.waits_for) == (3, "running", None)
    run = scene.run(run_id)
    assert (run.state, run.gate, run.approved_by, run.state_reason) == (RunState.RUNNING, None, "second", None)
    assert run.paused_total > timedelta()
    assert scene.audit(run_id) == [("second", "approve")]


def test_whoever_started_it_cannot_approve_it(scene: Scene) -> None:
    run_id = three(scene, careful(approval_above=2))
    with pytest.raises(SecondKeyNeededError, match="starter has started this run: somebody else"):
        launching.approve(scene.engine, run_id, "starter")
    assert scene.run(run_id).gate is Gate.APPROVAL
    assert scene.audit(run_id) == []


def test_a_resume_does_not_stand_in_for_an_approval(scene: Scene) -> None:
    run_id = three(scene, careful(approval_above=2))
    with pytest.raises(WrongStateError, match=r"somebody else than starter approves it: `drumbeat approve"):
        control.resume(scene.engine, run_id, "second")
    assert scene.run(run_id).state is RunState.PAUSED


def test_a_run_is_approved_once_and_only_where_it_awaits_that(scene: Scene) -> None:
    large, small = three(scene, careful(approval_above=2)), three(scene, careful())
    launching.approve(scene.engine, large, "second")
    with pytest.raises(WrongStateError, match="second has approved it already"):
        launching.approve(scene.engine, large, "third")
    with pytest.raises(WrongStateError, match="it awaits no approval"):
        launching.approve(scene.engine, small, "second")
    with pytest.raises(WrongStateError, match="its audience is not counted yet"):
        launching.approve(scene.engine, scene.queued(plan=careful(approval_above=2)), "second")


def test_a_cancelled_run_cannot_be_approved(scene: Scene) -> None:
    run_id = three(scene, careful(approval_above=2))
    control.cancel(scene.engine, run_id, "starter")
    assert scene.run(run_id).gate is None
    with pytest.raises(WrongStateError, match="it sends nothing any more"):
        launching.approve(scene.engine, run_id, "second")


@pytest.mark.parametrize("launch", [{"approval_above": 2}, {"undo_seconds": 60}])
def test_a_run_paused_in_its_snapshot_comes_to_its_gate_when_it_is_resumed(
    scene: Scene, launch: dict[str, int]
) -> None:
    run_id = scene.queued(plan=careful(**launch), actor="starter")
    control.pause(scene.engine, run_id, "starter")
    scene.take_audience(run_id, *(a_person(number) for number in range(3)))
    assert scene.run(run_id).state_reason == "operator"
    resumed = control.resume(scene.engine, run_id, "starter")
    assert resumed.waits_for == scene.run(run_id).state_reason
    assert scene.run(run_id).state is RunState.PAUSED
    assert scene.run(run_id).gate is not None


def test_a_run_resumed_in_its_snapshot_comes_to_its_gate_at_the_end_of_it(scene: Scene) -> None:
    run_id = scene.queued(plan=careful(approval_above=2))
    control.pause(scene.engine, run_id, "starter")
    assert control.resume(scene.engine, run_id, "starter").waits_for is None
    scene.take_audience(run_id, *(a_person(number) for number in range(3)))
    assert scene.run(run_id).gate is Gate.APPROVAL


def test_a_pause_at_the_gate_is_not_ended_by_the_approval(scene: Scene) -> None:
    run_id = three(scene, careful(approval_above=2))
    assert control.pause(scene.engine, run_id, "watchful").already
    approved = launching.approve(scene.engine, run_id, "second")
    assert approved.waits_for == "somebody has paused it: `drumbeat resume`"
    assert scene.run(run_id).state_reason == "operator"
    assert control.resume(scene.engine, run_id, "watchful").waits_for is None
    assert scene.run(run_id).state is RunState.RUNNING
    assert scene.audit(run_id) == [("watchful", "pause"), ("second", "approve"), ("watchful", "resume")]


def test_an_undo_window_ends_by_itself_and_not_before_its_time(scene: Scene) -> None:
    run_id = three(scene, careful(undo_seconds=60))
    run = scene.run(run_id)
    assert (run.state, run.gate) == (RunState.PAUSED, Gate.UNDO)
    assert run.paused_at is not None
    assert run.resumes_at == run.paused_at + timedelta(seconds=60)
    assert look_after_launch(scene.engine, run_id) == run.resumes_at
    assert scene.run(run_id).state is RunState.PAUSED
    pass_time(scene, run_id)
    assert look_after_launch(scene.engine, run_id) is None
    run = scene.run(run_id)
    assert (run.state, run.gate, run.resumes_at) == (RunState.RUNNING, None, None)
    assert scene.audit(run_id) == [("drumbeat", "resume")]


def test_a_resume_ends_the_undo_window_early(scene: Scene) -> None:
    run_id = three(scene, careful(undo_seconds=3600))
    assert control.resume(scene.engine, run_id, "starter").waits_for is None
    assert scene.run(run_id).state is RunState.RUNNING


def test_a_cancel_in_the_undo_window_withdraws_everybody(scene: Scene) -> None:
    run_id = three(scene, careful(undo_seconds=60))
    cancelled = control.cancel(scene.engine, run_id, "starter")
    assert (cancelled.withdrawn, cancelled.awaiting, cancelled.in_flight) == (3, 0, 0)
    pass_time(scene, run_id)
    look_after_launch(scene.engine, run_id)
    assert scene.run(run_id).state is RunState.CANCELLED


def test_a_pause_in_the_undo_window_stays_when_the_window_is_over(scene: Scene) -> None:
    run_id = three(scene, careful(undo_seconds=60))
    control.pause(scene.engine, run_id, "watchful")
    pass_time(scene, run_id)
    end_undo_window(scene.engine, run_id)
    run = scene.run(run_id)
    assert (run.state, run.state_reason, run.gate) == (RunState.PAUSED, "operator", None)


def test_after_the_approval_comes_the_undo_window(scene: Scene) -> None:
    run_id = three(scene, careful(approval_above=2, undo_seconds=60))
    approved = launching.approve(scene.engine, run_id, "second")
    assert approved.state == "paused"
    assert approved.waits_for == scene.run(run_id).state_reason
    assert scene.run(run_id).gate is Gate.UNDO
    control.resume(scene.engine, run_id, "starter")
    assert scene.run(run_id).state is RunState.RUNNING


def test_a_run_that_has_passed_its_gates_does_not_meet_them_again(scene: Scene) -> None:
    run_id = three(scene, careful(undo_seconds=60))
    control.resume(scene.engine, run_id, "starter")
    control.pause(scene.engine, run_id, "starter")
    assert control.resume(scene.engine, run_id, "starter").waits_for is None
    assert scene.run(run_id).state is RunState.RUNNING


def test_in_a_restored_database_no_undo_window_ends_by_itself(scene: Scene) -> None:
    run_id = three(scene, careful(undo_seconds=60))
    with transaction(scene.engine) as session:
        count_sweep(session, remembered=7)
    pass_time(scene, run_id)
    look_after_launch(scene.engine, run_id)
    run = scene.run(run_id)
    assert (run.state, run.state_reason, run.gate) == (RunState.PAUSED, "restored_database", None)


def test_an_audience_of_nobody_passes_an_approval_of_any_run_at_all(scene: Scene) -> None:
    assert scene.run(scene.snapshot(plan=careful(approval_above=0))).state is RunState.RUNNING
