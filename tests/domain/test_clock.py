from datetime import UTC, datetime, timedelta

import pytest

from domain.clock import ClockPolicy, RunClock, UnknownClockPolicyError, clock_policy

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("policy", "moved"), [("shift", HOUR), ("keep", timedelta()), ("expire_overdue", timedelta())])
def test_only_shift_moves_a_deadline_by_the_time_paused(policy: str, moved: timedelta) -> None:
    before = RunClock(paused_total=2 * HOUR)
    deadline = before.deadline(NINE, HOUR)
    resumed = RunClock(2 * HOUR, paused_at=NINE).resumed(NINE + HOUR, ClockPolicy(policy))
    assert before.wall_time(deadline) == NINE + HOUR
    assert resumed.wall_time(deadline) == NINE + HOUR + moved


def test_while_paused_no_deadline_is_reached() -> None:
    paused = RunClock(paused_at=NINE)
    assert paused.run_time(NINE + 30 * HOUR) == NINE
    assert paused.wall_time(NINE + HOUR) is None


@pytest.mark.parametrize("policy", ClockPolicy)
def test_what_is_recorded_in_a_pause_has_at_least_its_ttl_under_each_policy(policy: ClockPolicy) -> None:
    paused = RunClock(HOUR, paused_at=NINE)
    recorded = NINE + timedelta(seconds=8)
    until = paused.resumed(NINE + HOUR, policy).wall_time(paused.deadline(recorded, HOUR))
    assert until
    assert until >= recorded + HOUR


def test_an_unknown_policy_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownClockPolicyError, match=r"'forget'.*shift, keep, expire_overdue"):
        clock_policy("forget")
