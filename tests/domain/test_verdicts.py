"""What an operator's verdict makes of a message that ended as `unknown`, and what the evidence says."""

from datetime import timedelta
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ladder import Done, Send
from domain.proof import difference
from domain.reports import InReport
from domain.states import AttemptState, FailureKind, MessageState, RunState
from domain.verdicts import TryEvidence, Verdict, sentences
from tests.domain.test_ladder import FCM, MQTT, a_plan, a_run
from tests.domain.test_ladder_properties import answers, happen, happenings, runs
from tests.domain.virtual import Answer, VirtualRun

UNKNOWN, SENT = AttemptState.UNKNOWN, AttemptState.SENT


def one_that_may_not_be_repeated(*more: Answer) -> VirtualRun:
    ladder = tuple(rung.model_copy(update={"retries_unknown": False}) for rung in a_plan().ladder)
    run = a_run(UNKNOWN, *more, plan=a_plan(ladder=ladder))
    assert run.drive() == Done(MessageState.UNKNOWN)
    return run


def test_one_that_was_sent_has_ended_as_sent() -> None:
    run = one_that_may_not_be_repeated()
    run.judge(Verdict.WAS_SENT)
    assert run.look() == Done(MessageState.SENT)
    assert run.message.attempts[0].state is SENT
    assert difference(run.message) is None
    run.acknowledge()
    assert run.message.state is MessageState.DELIVERED


def test_one_to_be_retried_goes_to_the_same_rung_again_although_the_channel_repeats_nothing() -> None:
    run = one_that_may_not_be_repeated(SENT)
    run.judge(Verdict.RETRY)
    assert difference(run.message) is None
    assert run.look() == Send(FCM, "token")
    run.acknowledge()
    assert run.drive() == Done(MessageState.DELIVERED)
    assert [attempt.state for attempt in run.message.attempts] == [UNKNOWN, SENT]


def test_a_retried_one_whose_new_try_is_refused_may_still_have_arrived_by_the_old_one() -> None:
    run = one_that_may_not_be_repeated(FailureKind.MESSAGE_REJECTED, FailureKind.MESSAGE_REJECTED)
    run.judge(Verdict.RETRY)
    assert run.drive() == Done(MessageState.UNKNOWN)
    assert len(run.message.attempts) == 3
    assert difference(run.message) is None


def test_a_retry_begins_with_the_first_rung_that_it_was_given_on_and_has_all_its_tries_anew() -> None:
    run = a_run(*[UNKNOWN] * 6, *[UNKNOWN] * 6)
    assert run.drive() == Done(MessageState.UNKNOWN)
    run.judge(Verdict.RETRY)
    assert run.drive() == Done(MessageState.UNKNOWN)
    assert [attempt.channel for attempt in run.message.attempts] == ([FCM] * 3 + [MQTT] * 3) * 2


def test_a_retry_after_a_later_rung_was_refused_goes_back_once_and_comes_to_an_end() -> None:
    run = a_run(*[UNKNOWN] * 3, FailureKind.UNREACHABLE, FailureKind.UNREACHABLE)
    assert run.drive() == Done(MessageState.UNKNOWN)
    run.judge(Verdict.RETRY)
    assert run.look() == Send(FCM, "token")
    assert run.drive() == Done(MessageState.UNKNOWN)


@given(runs, happenings, answers.map(lambda some: [next(some) for _ in range(3)]))
def test_a_judged_message_ends_and_balances_whatever_happens(
    run: VirtualRun, events: list[tuple[str, timedelta]], first: list[Answer]
) -> None:
    run.answers = chain(first, repeat(UNKNOWN, 6), run.answers)
    if run.drive() != Done(MessageState.UNKNOWN):
        return
    run.judge(Verdict.RETRY)
    assert difference(run.message) is None
    tried = len(run.message.attempts)
    for what, later in events:
        run.now += later
        happen(run, what)
        run.look()
        assert difference(run.message) is None
    if run.run.state is RunState.PAUSED:
        run.resume()
    assert isinstance(run.drive(), Done)
    assert difference(run.message) is None
    if run.message.state is MessageState.UNKNOWN:
        run.judge(Verdict.WAS_SENT)
        assert (run.message.state, difference(run.message)) == (MessageState.SENT, None)
    assert len(run.message.attempts) >= tried


@given(st.sampled_from(InReport), st.sampled_from([None, "dedupe_id"]), st.integers(0, 2))
def test_the_evidence_of_a_try_is_told_in_sentences(in_report: InReport, repeated_as: str | None, came: int) -> None:
    said = sentences(TryEvidence("sms", repeated_as, in_report, came))
    assert len(said) == 3
    assert all(said)
    assert ("dedupe_id" in said[0]) is bool(repeated_as)


@pytest.mark.parametrize(("in_report", "word"), [(InReport.NAMED, "it was taken"), (InReport.NOT_NAMED, "not name it")])
def test_the_evidence_says_what_the_report_says(in_report: InReport, word: str) -> None:
    assert word in sentences(TryEvidence("sms", None, in_report, 0))[1]
