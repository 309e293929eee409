from datetime import UTC, datetime, timedelta

import pytest

from domain.outcomes import Arm, Deliveries, Outcome, Reading, outcome

OPENS = datetime(2026, 11, 16, 9, tzinfo=UTC)
CLOSES = OPENS + timedelta(days=7)
TICK = timedelta(microseconds=1)
EARLY, LATE = OPENS - timedelta(hours=1), OPENS + timedelta(hours=1)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (None, Outcome.GONE),
        (Reading(readable=False), Outcome.UNREADABLE),
        (Reading(), Outcome.NOT_HELPED),
        (Reading(OPENS - timedelta(days=40)), Outcome.NOT_HELPED),
        (Reading(OPENS), Outcome.NOT_HELPED),
        (Reading(OPENS + TICK), Outcome.HELPED),
        (Reading(CLOSES), Outcome.HELPED),
        (Reading(CLOSES + TICK), Outcome.LATER),
    ],
)
def test_only_what_was_done_later_than_the_opening_and_within_the_window_helped(
    reading: Reading | None, expected: Outcome
) -> None:
    assert outcome(reading, OPENS, CLOSES) is expected


def test_a_window_opens_with_the_first_hand_over_to_any_owner() -> None:
    assert Deliveries(0, 2, ended=False, handed_over_at=OPENS, tried_at=EARLY).opens_at == OPENS


def test_for_the_held_out_it_opens_when_they_would_have_been_sent_something() -> None:
    found = Deliveries(2, 0, ended=False, would_have_been_at=OPENS)
    assert (found.opens_at, found.arm) == (OPENS, Arm.HELD_OUT)


def test_tries_that_failed_open_a_window_only_when_nothing_else_can_come() -> None:
    assert Deliveries(0, 1, ended=False, tried_at=OPENS).opens_at is None
    assert Deliveries(0, 1, ended=True, tried_at=OPENS).opens_at == OPENS


@pytest.mark.parametrize("ended", [False, True])
def test_without_a_try_there_is_no_window(*, ended: bool) -> None:
    assert Deliveries(0, 1, ended=ended).opens_at is None


def test_a_subject_with_people_in_both_arms_is_in_neither_and_its_hand_over_counts() -> None:
    found = Deliveries(1, 1, ended=True, handed_over_at=LATE, would_have_been_at=OPENS)
    assert (found.arm, found.opens_at) == (Arm.BOTH, LATE)
