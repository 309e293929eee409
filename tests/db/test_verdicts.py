"""A verdict on rows: what it changes, what it refuses, and that the proof stays balanced."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from db import control
from db.engine import transaction
from db.reports import import_report
from db.runs import move_on
from db.sweeping import take_overdue
from db.tables import AuditEntry
from db.unknown import UnknownMessage, list_unknown
from db.unsubscribing import unsubscribe
from db.verdicts import judge
from domain.problems import NoSuchMessageError, NothingLeftToTryError, NotUnknownError, WrongStateError
from domain.reports import InReport, Reported
from domain.states import AttemptState, FailureKind, MessageState, RunState
from domain.verdicts import Verdict
from tests.db.scene import HASHER, UNKNOWN, Scene, a_plan, failed
from tests.fakes import a_person

RETRY, WAS_SENT = Verdict.RETRY, Verdict.WAS_SENT


def with_unknown(scene: Scene, count: int = 1, **plan: object) -> tuple[UUID, list[UUID]]:
    """A run whose messages have all ended as unknown."""
    people = [a_person(number) for number in range(count)]
    run_id = scene.opened(*people, plan=a_plan(retries_unknown=False, **plan))  # type: ignore[arg-type] # by name
    for message_id in scene.ids(run_id):
        scene.send(message_id, outcome=UNKNOWN)
    return run_id, scene.ids(run_id)


def closed(scene: Scene, run_id: UUID) -> None:
    with transaction(scene.engine) as session:
        assert move_on(session, run_id) is RunState.CLOSED


def listed(scene: Scene, run_id: UUID, **how: object) -> list[UnknownMessage]:
    with transaction(scene.engine) as session:
        return list_unknown(session, run_id, **how)  # type: ignore[arg-type] # by name


def test_one_that_was_sent_is_sent_and_the_verdict_is_noted(scene: Scene) -> None:
    run_id, [message_id] = with_unknown(scene)
    closed(scene, run_id)
    assert judge(scene.engine, HASHER, run_id, message_id, WAS_SENT, actor="key-7").state is MessageState.SENT
    [attempt] = scene.attempts(message_id)
    assert (attempt.state, attempt.verdict) == ("sent", "was_sent")
    assert scene.message(message_id).ended_at
    assert scene.proof(run_id).balanced
    assert scene.run(run_id).state is RunState.CLOSED
    assert scene.audit(run_id) == [("key-7", "judge")]
    details = scene.stored(AuditEntry, action="judge")[0].details
    assert details == {"verdict": "was_sent", "message_id": str(message_id), "state": "sent"}
    scene.acknowledge(attempt.id)
    assert (scene.message(message_id).state, scene.proof(run_id).balanced) == ("delivered", True)


def test_one_to_be_retried_is_due_at_once_in_a_run_that_runs_again(scene: Scene) -> None:
    run_id, [message_id] = with_unknown(scene)
    closed(scene, run_id)
    assert judge(scene.engine, HASHER, run_id, message_id, RETRY, actor="test").state is MessageState.PLANNED
    run, message = scene.run(run_id), scene.message(message_id)
    assert (run.state, run.closed_at, run.completed_at, message.ended_at) == (RunState.RUNNING, None, None, None)
    assert scene.proof(run_id).balanced
    with transaction(scene.engine) as session:
        assert [each.message_id for each in take_overdue(session, 10)] == [message_id]
    scene.send(message_id)
    assert scene.attempt_states(message_id) == [(1, "unknown"), (2, "sent")]
    assert scene.proof(run_id).balanced
    closed_again = scene.attempts(message_id)[1].id
    scene.acknowledge(closed_again)
    closed(scene, run_id)


def test_one_to_be_retried_in_a_paused_run_is_held_until_it_is_resumed(scene: Scene) -> None:
    run_id, [message_id, other] = with_unknown(scene, 2)
    scene.set_message(other, state="planned", ended_at=None)
    control.pause(scene.engine, run_id, "test")
    judge(scene.engine, HASHER, run_id, message_id, RETRY, actor="test")
    assert (scene.message(message_id).hold_reason, scene.run(run_id).state) == ("paused", RunState.PAUSED)
    with transaction(scene.engine) as session:
        assert take_overdue(session, 10) == []
    assert control.resume(scene.engine, run_id, "test").held == 1
    with transaction(scene.engine) as session:
        assert [each.message_id for each in take_overdue(session, 10)] == [message_id]


def test_a_cap_does_not_count_the_messages_own_written_off_try(scene: Scene) -> None:
    run_id, [message_id] = with_unknown(scene, caps=[{"count": 1, "days": 7}])
    judge(scene.engine, HASHER, run_id, message_id, RETRY, actor="test")
    scene.send(message_id)
    assert scene.message(message_id).state == "sent"


@pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.FAILED])
def test_nothing_is_retried_in_a_run_that_sends_no_more(scene: Scene, state: RunState) -> None:
    run_id, [message_id] = with_unknown(scene)
    scene.set(run_id, state=state)
    with pytest.raises(WrongStateError, match=f"that is {state}: it sends nothing any more"):
        judge(scene.engine, HASHER, run_id, message_id, RETRY, actor="test")
    assert scene.message(message_id).state == "unknown"
    assert judge(scene.engine, HASHER, run_id, message_id, WAS_SENT, actor="test").state is MessageState.SENT
    assert scene.proof(run_id).balanced


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_on_a_message_that_is_not_unknown_is_refused(scene: Scene, verdict: Verdict) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    with pytest.raises(NotUnknownError, match="is sent: a verdict is given on one that ended as unknown"):
        judge(scene.engine, HASHER, run_id, message_id, verdict, actor="test")
    assert scene.audit(run_id) == []


def test_a_second_verdict_is_refused(scene: Scene) -> None:
    run_id, [message_id] = with_unknown(scene)
    judge(scene.engine, HASHER, run_id, message_id, WAS_SENT, actor="test")
    with pytest.raises(NotUnknownError):
        judge(scene.engine, HASHER, run_id, message_id, RETRY, actor="test")


def test_a_verdict_on_another_runs_message_is_refused(scene: Scene) -> None:
    run_id, _ = with_unknown(scene)
    _, [elsewhere] = with_unknown(scene)
    for message_id in (elsewhere, uuid4()):
        with pytest.raises(NoSuchMessageError):
            judge(scene.engine, HASHER, run_id, message_id, WAS_SENT, actor="test")


def test_a_retry_that_would_end_again_at_once_is_refused_and_changes_nothing(scene: Scene) -> None:
    run_id, [message_id] = with_unknown(scene, valid_for_seconds=60)
    before = scene.message(message_id)
    scene.set(run_id, started_at=scene.run(run_id).created_at - timedelta(hours=1))
    with pytest.raises(NothingLeftToTryError, match="no longer valid"):
        judge(scene.engine, HASHER, run_id, message_id, RETRY, actor="test")
    after = scene.message(message_id)
    assert (after.state, after.ended_at) == (before.state, before.ended_at)
    assert scene.attempts(message_id)[0].verdict is None


def test_a_retry_to_somebody_who_wants_nothing_any_more_is_refused_and_changes_nothing(scene: Scene) -> None:
    run_id, [message_id] = with_unknown(scene)
    closed(scene, run_id)
    with transaction(scene.engine) as session:
        unsubscribe(session, message_id, HASHER)
    with pytest.raises(NothingLeftToTryError, match="want nothing more"):
        judge(scene.engine, HASHER, run_id, message_id, RETRY, actor="test")
    assert (scene.run(run_id).state, scene.message(message_id).state) == (RunState.CLOSED, "unknown")
    assert scene.attempts(message_id)[0].verdict is None
    assert judge(scene.engine, HASHER, run_id, message_id, WAS_SENT, actor="test").state is MessageState.SENT


def test_a_run_is_not_closed_over_a_verdict_that_comes_just_then(scene: Scene) -> None:
    """It looked for unfinished messages, found none, and would close; the verdict makes one planned meanwhile."""
    run_id, [message_id] = with_unknown(scene)
    with transaction(scene.engine) as session:
        # The verdict first, uncommitted: it holds the run's row.
        from db.verdicts import _judge  # noqa: PLC0415 - the part inside the transaction

        _judge(session, HASHER, run_id, message_id, RETRY, actor="test")

        def close() -> RunState:
            with transaction(scene.engine) as other:
                return move_on(other, run_id)

        with scene.meanwhile(close) as closing:
            scene.until_somebody_waits()
            session.commit()
    assert closing.result() is RunState.RUNNING
    assert scene.run(run_id).closed_at is None


def test_the_unknown_are_listed_in_pages_with_their_evidence(scene: Scene) -> None:
    run_id, ids = with_unknown(scene, 3)
    first, second = listed(scene, run_id, limit=2), listed(scene, run_id, limit=2, after=sorted(ids)[1])
    assert [each.message_id for each in (*first, *second)] == sorted(ids)
    [a_try] = first[0].tries
    assert (a_try.number, a_try.channel, a_try.error_code, a_try.error_text) == (
        1,
        "fcm",
        "cut",
        "the connection broke",
    )
    assert (a_try.state, a_try.in_report, a_try.repeated_as) == (AttemptState.UNKNOWN, InReport.NO_REPORT, None)
    assert a_try.said == (
        "fcm shows a repeated try as a second message",
        "no report of fcm was imported",
        "no device acknowledged it",
    )


def test_the_channels_report_is_evidence(scene: Scene) -> None:
    run_id, ids = with_unknown(scene, 2)
    named, other = (scene.attempts(message_id)[0] for message_id in ids)
    with transaction(scene.engine) as session:
        import_report(session, run_id, "fcm", [Reported(message_id=named.id)], "test")
    said = {each.message_id: each.tries[0].in_report for each in listed(scene, run_id)}
    assert said == {named.message_id: InReport.NAMED, other.message_id: InReport.NOT_NAMED}
    assert scene.proof(run_id).balanced
    with transaction(scene.engine) as session:
        import_report(session, run_id, "fcm", [Reported(provider_id="p-1")], "test")
    assert {each.tries[0].in_report for each in listed(scene, run_id)} == {InReport.CANNOT_SAY}


def test_only_those_of_a_channel_are_listed_where_one_is_asked_for(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), a_person(1), plan=a_plan(retries_unknown=False))
    by_fcm, by_mqtt = scene.ids(run_id)
    scene.send(by_fcm, outcome=UNKNOWN)
    scene.send(by_mqtt, outcome=failed(FailureKind.UNREACHABLE))
    scene.send(by_mqtt, "mqtt", outcome=UNKNOWN)
    assert [each.message_id for each in listed(scene, run_id, channel="mqtt")] == [by_mqtt]
    [message] = listed(scene, run_id, channel="mqtt")
    assert [(each.channel, each.state, bool(each.said)) for each in message.tries] == [
        ("fcm", "failed", False),
        ("mqtt", "unknown", True),
    ]
