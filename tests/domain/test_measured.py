"""Answers drawn from what was measured: the shares of the past, and the same lots for the same seed."""

from dataclasses import replace
from datetime import timedelta
from statistics import median

import pytest

from domain.ladder import AttemptFacts
from domain.measured import LEAST_MEASURED, ChannelRecord, Latency, MeasuredAnswers
from domain.rehearsal import Answer
from domain.states import AttemptState, Awaited, FailureKind
from tests.domain.test_rehearsal import PLAN, a_role
from tests.domain.virtual import START

MANY = 4000
RECORD = ChannelRecord(
    channel="fcm",
    tried=1000,
    failed={FailureKind.ADDRESS_REJECTED: 100, FailureKind.BUSY: 50},
    unknown=50,
    to_acknowledge=1000,
    acknowledged=600,
    acknowledged_after=Latency(median_seconds=10, p90_seconds=100),
)


def drawn(record: ChannelRecord, *, device: bool = True, seed: int = 7, tries: int = 1) -> list[Answer]:
    answers = MeasuredAnswers({"fcm": record}, PLAN, seed)
    attempt = AttemptFacts(1, "fcm", "token", AttemptState.SENDING, START)
    return [answers.to(a_role(number, device=device), attempt, tries) for number in range(MANY)]


def share(answers: list[Answer], of: Answer) -> float:
    return sum(replace(each, answered_after=None) == of for each in answers) / len(answers)


def test_refusals_have_the_share_that_they_had() -> None:
    answers = drawn(RECORD)
    assert share(answers, Answer(AttemptState.FAILED, FailureKind.ADDRESS_REJECTED)) == pytest.approx(0.1, abs=0.02)
    assert share(answers, Answer(AttemptState.FAILED, FailureKind.BUSY)) == pytest.approx(0.05, abs=0.015)
    assert share(answers, Answer(AttemptState.UNKNOWN)) == pytest.approx(0.05, abs=0.015)


def test_devices_answer_in_the_share_and_the_time_in_which_they_did() -> None:
    taken = [each for each in drawn(RECORD) if each.state is AttemptState.SENT]
    after = sorted(each.answered_after.total_seconds() for each in taken if each.answered_after)
    assert len(after) / len(taken) == pytest.approx(0.6, abs=0.03)
    assert median(after) == pytest.approx(10, rel=0.15)
    assert after[round(len(after) * 0.9)] == pytest.approx(100, rel=0.3)


def test_ordinary_phones_stay_silent_unless_somebody_clicks() -> None:
    assert not any(each.answered_after for each in drawn(RECORD, device=False))
    clicks = {"to_click": 1000, "clicked": 100, "clicked_after": Latency(median_seconds=60, p90_seconds=60)}
    clicked = [each for each in drawn(RECORD.model_copy(update=clicks), device=False) if each.answered_after]
    assert len(clicked) / MANY == pytest.approx(0.08, abs=0.02)
    assert {each.answered_by for each in clicked} == {Awaited.CLICK}
    assert {each.answered_after for each in clicked} == {timedelta(seconds=60)}


def test_the_same_seed_draws_the_same_lots_and_another_draws_others() -> None:
    assert drawn(RECORD) == drawn(RECORD)
    assert drawn(RECORD) != drawn(RECORD, seed=8)
    assert drawn(RECORD) != drawn(RECORD, tries=2)


def test_of_too_few_nothing_is_concluded() -> None:
    few = ChannelRecord(
        channel="fcm",
        tried=LEAST_MEASURED - 1,
        failed={FailureKind.BUSY: LEAST_MEASURED - 1},
        to_acknowledge=LEAST_MEASURED - 1,
        acknowledged=LEAST_MEASURED - 1,
        acknowledged_after=Latency(median_seconds=1, p90_seconds=1),
    )
    assert set(drawn(few)) == {Answer()}
