"""What a resume does to the deadlines of what was sent before the pause, and what its preview says of it."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest

from db import control
from db.engine import transaction
from db.resuming import OVERDUE_AT_RESUME, PolicyPreview, ResumePreview, preview_resume
from db.runs import move_on
from db.sweeping import take_overdue
from db.tables import Attempt, AuditEntry, Message
from domain.clock import ClockPolicy
from domain.ids import message_id_of
from domain.ladder import Done, Send, Wait
from domain.problems import WrongStateError
from domain.states import Awaited, FailureKind, HoldReason, MessageState, RunState
from tests.db.scene import Scene, a_plan, failed
from tests.fakes import a_person

SHIFT, KEEP, EXPIRE_OVERDUE = ClockPolicy
HOUR = timedelta(hours=1)


def preview(scene: Scene, run_id: UUID) -> ResumePreview:
    with transaction(scene.engine) as session:
        return preview_resume(session, run_id)


def pause_for(scene: Scene, run_id: UUID, length: timedelta) -> None:
    """As if it had been paused so long ago, and everything before had been earlier too."""
    control.pause(scene.engine, run_id, "test")
    since = scene.run(run_id).paused_at
    assert since
    scene.set(run_id, paused_at=since - length)
    for message_id in scene.ids(run_id):
        scene.rewind(message_id, length)
        for attempt in scene.attempts(message_id):
            if attempt.deadline:
                scene.set_attempt(attempt.id, deadline=attempt.deadline - length)


@dataclass(frozen=True)
class Paused:
    run_id: UUID
    overdue: UUID
    last_rung: UUID
    silent: UUID
    ahead: UUID
    planned: UUID


def paused(scene: Scene) -> Paused:
    """For 90 minutes, at a ttl of one hour: three are overdue by then, one more was sent by a longer rung."""
    people = [a_person(0), a_person(1), a_person(2, device=False), a_person(3), a_person(4)]
    run_id = scene.opened(*people, plan=a_plan(max_lateness_seconds=3600))
    overdue, last_rung, silent, ahead, planned = (message_id_of(run_id, person.id) for person in people)
    for message_id in (overdue, silent, ahead):
        scene.send(message_id)
    scene.send(last_rung, outcome=failed(FailureKind.MESSAGE_REJECTED))
    scene.send(last_rung, "mqtt")
    pause_for(scene, run_id, 1.5 * HOUR)
    scene.silence(ahead, late_by=-HOUR)
    return Paused(run_id, overdue, last_rung, silent, ahead, planned)


def test_the_preview_says_what_each_policy_would_do_and_changes_nothing(scene: Scene) -> None:
    run = paused(scene)
    before = scene.everything(Message, run.run_id), scene.everything(Attempt, run.run_id), scene.run(run.run_id)
    said = preview(scene, run.run_id)
    assert (said.unsent, said.in_flight) == (1, 0)
    assert said.policies == [
        PolicyPreview(policy=SHIFT, awaiting=4, next_rung=0, ended=0),
        PolicyPreview(policy=KEEP, awaiting=1, next_rung=1, ended=2),
        PolicyPreview(policy=EXPIRE_OVERDUE, awaiting=1, next_rung=0, ended=3),
    ]
    assert (scene.everything(Message, run.run_id), scene.everything(Attempt, run.run_id)) == before[:2]
    assert scene.run(run.run_id) == before[2]


@pytest.mark.parametrize("policy", ClockPolicy)
def test_what_the_preview_says_is_what_happens(scene: Scene, policy: ClockPolicy) -> None:
    run = paused(scene)
    [said] = [each for each in preview(scene, run.run_id).policies if each.policy is policy]
    resumed = control.resume(scene.engine, run.run_id, "test", policy)
    assert (resumed.policy, resumed.awaiting) == (policy, said.awaiting)
    assert resumed.overdue + resumed.ended == said.next_rung + said.ended
    steps = [scene.decide(message_id, None).step for message_id in scene.ids(run.run_id) if message_id != run.planned]
    waiting = [step for step in steps if isinstance(step, Wait) and step.reason is HoldReason.AWAITING]
    ended = [step for step in steps if isinstance(step, Done)]
    assert (len(waiting), len(ended)) == (said.awaiting, said.ended)
    assert scene.proof(run.run_id).balanced


def test_shift_gives_everybody_the_whole_of_their_time(scene: Scene) -> None:
    run = paused(scene)
    resumed = control.resume(scene.engine, run.run_id, "test", SHIFT)
    assert (resumed.overdue, resumed.ended) == (0, 0)
    assert resumed.paused_seconds >= 5400
    step = scene.decide(run.overdue).step
    assert isinstance(step, Wait)
    assert step.reason is HoldReason.AWAITING


def test_keep_sends_what_is_overdue_to_its_next_rung_and_leaves_the_clock_alone(scene: Scene) -> None:
    run = paused(scene)
    resumed = control.resume(scene.engine, run.run_id, "test", KEEP)
    assert (resumed.paused_seconds, resumed.overdue, resumed.ended, resumed.awaiting) == (0, 3, 0, 1)
    assert scene.run(run.run_id).paused_total == timedelta()
    assert scene.decide(run.overdue, None).step == Send("mqtt", "device-0000")
    assert scene.decide(run.last_rung, None).step == Done(MessageState.EXPIRED)
    assert scene.decide(run.silent, None).step == Done(MessageState.SENT)


def test_keep_ends_what_is_overdue_by_more_than_a_fallback_may_be_late(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), plan=a_plan(max_lateness_seconds=600))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    pause_for(scene, run_id, 2 * HOUR)
    assert preview(scene, run_id).policies[1] == PolicyPreview(policy=KEEP, awaiting=0, next_rung=0, ended=1)
    control.resume(scene.engine, run_id, "test", KEEP)
    assert scene.decide(message_id).step == Done(MessageState.EXPIRED)


def test_expire_overdue_ends_what_is_overdue_and_nobody_else(scene: Scene) -> None:
    run = paused(scene)
    resumed = control.resume(scene.engine, run.run_id, "test", EXPIRE_OVERDUE)
    assert (resumed.ended, resumed.overdue, resumed.awaiting, resumed.paused_seconds) == (3, 0, 1, 0)
    messages = {message_id: scene.message(message_id) for message_id in scene.ids(run.run_id)}
    assert {message_id: (message.state, message.ended_at is None) for message_id, message in messages.items()} == {
        run.overdue: ("expired", False),
        run.last_rung: ("expired", False),
        run.silent: ("sent", False),
        run.ahead: ("sent", True),
        run.planned: ("planned", True),
    }
    assert {messages[each].state_reason for each in (run.overdue, run.last_rung, run.silent)} == {OVERDUE_AT_RESUME}
    assert scene.attempt_states(run.overdue) == [(1, "expired")]
    assert scene.attempt_states(run.silent) == [(1, "sent")]
    assert scene.attempt_states(run.ahead) == [(1, "sent")]
    proof = scene.proof(run.run_id)
    assert (proof.balanced, proof.unfinished) == (True, 2)


def test_whoever_is_ended_by_a_resume_is_told_by_sweep(scene: Scene) -> None:
    run = paused(scene)
    control.resume(scene.engine, run.run_id, "test", EXPIRE_OVERDUE)
    ended = {run.overdue, run.last_rung, run.silent}
    for message_id in ended:
        due_at = scene.message(message_id).due_at
        assert due_at
        scene.set_message(message_id, due_at=due_at - timedelta(minutes=1))
    with transaction(scene.engine) as session:
        assert {each.message_id for each in take_overdue(session, 100) if each.ended} == ended
    for message_id in ended:
        assert scene.decide(message_id).step == Done(MessageState(scene.message(message_id).state))
        assert scene.message(message_id).due_at is None


def test_an_answer_that_comes_after_expire_overdue_still_delivers(scene: Scene) -> None:
    run = paused(scene)
    control.resume(scene.engine, run.run_id, "test", EXPIRE_OVERDUE)
    [attempt] = scene.attempts(run.overdue)
    assert scene.acknowledge(attempt.id).late
    assert scene.message(run.overdue).state == "delivered"
    assert scene.proof(run.run_id).balanced


def test_an_answer_and_expire_overdue_at_the_same_moment_are_both_heard(scene: Scene) -> None:
    run = paused(scene)
    [attempt] = scene.attempts(run.overdue)
    with transaction(scene.engine) as session:
        session.get_one(Message, run.overdue, with_for_update=True)
        with scene.meanwhile(lambda: control.resume(scene.engine, run.run_id, "test", EXPIRE_OVERDUE)) as resumed:
            scene.until_somebody_waits()
            with scene.meanwhile(lambda: scene.acknowledge(attempt.id)) as acknowledged:
                session.commit()
    assert acknowledged.result().first
    assert resumed.result().ended in {2, 3}
    assert scene.message(run.overdue).state == "delivered"
    assert scene.proof(run.run_id).balanced


def test_a_run_whose_last_ones_were_ended_by_a_resume_closes(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    pause_for(scene, run_id, 2 * HOUR)
    assert control.resume(scene.engine, run_id, "test", EXPIRE_OVERDUE).ended == 1
    with transaction(scene.engine) as session:
        assert move_on(session, run_id) is RunState.CLOSED


def test_where_nothing_is_awaited_nothing_can_be_overdue(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), plan=a_plan(awaits=frozenset()))
    [message_id] = scene.ids(run_id)
    scene.claim(message_id)
    control.pause(scene.engine, run_id, "test")
    assert preview(scene, run_id).in_flight == 1
    resumed = control.resume(scene.engine, run_id, "test", EXPIRE_OVERDUE)
    assert (resumed.ended, resumed.overdue) == (0, 0)


def test_who_awaits_a_click_alone_ends_as_sent(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), plan=a_plan(awaits=frozenset({Awaited.CLICK})))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    pause_for(scene, run_id, 2 * HOUR)
    control.resume(scene.engine, run_id, "test", EXPIRE_OVERDUE)
    assert scene.message(message_id).state == "sent"
    assert scene.proof(run_id).balanced


@pytest.mark.parametrize("policy", ClockPolicy)
def test_what_is_recorded_in_a_pause_is_awaited_for_its_whole_ttl_under_each_policy(
    scene: Scene, policy: ClockPolicy
) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    claim = scene.claim(message_id)
    control.pause(scene.engine, run_id, "test")
    since = scene.run(run_id).paused_at
    assert since
    scene.set(run_id, paused_at=since - timedelta(seconds=10))
    scene.settle(claim)
    control.resume(scene.engine, run_id, "test", policy)
    step = scene.decide(message_id).step
    [attempt] = scene.attempts(message_id)
    assert isinstance(step, Wait)
    assert step.until
    assert attempt.settled_at
    assert step.until >= attempt.settled_at + HOUR
    assert step.until <= attempt.settled_at + HOUR + scene.run(run_id).paused_total


def test_the_policy_and_what_it_ended_are_in_the_audit_log(scene: Scene) -> None:
    run = paused(scene)
    control.resume(scene.engine, run.run_id, "ada", EXPIRE_OVERDUE)
    [entry] = scene.stored(AuditEntry, run_id=run.run_id, action="resume")
    assert (entry.actor, entry.details["policy"], entry.details["ended"]) == ("ada", "expire_overdue", 3)


def test_a_preview_of_a_run_that_is_not_paused_is_refused(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    with pytest.raises(WrongStateError, match="only a paused run"):
        preview(scene, run_id)


def test_a_resume_that_is_refused_ends_nobody(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    scene.silence(message_id)
    with pytest.raises(WrongStateError):
        control.resume(scene.engine, run_id, "test", EXPIRE_OVERDUE)
    assert scene.message(message_id).ended_at is None
