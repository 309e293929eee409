"""What becomes of a planned time at which no run could start."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.missed import LONGEST, MissedPolicy, MissedRuns, depends_on_newer, missed_runs_of, planned_time, why_missed

PLANNED = datetime(2026, 11, 23, 9, tzinfo=UTC)
NEWER = datetime(2026, 11, 24, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("policy", ["skip", "late:6h", "once:6h"])
@pytest.mark.parametrize("late_by", [timedelta(seconds=-3), timedelta(), timedelta(minutes=1)])
def test_what_starts_within_a_minute_is_on_time_whatever_the_policy(policy: str, late_by: timedelta) -> None:
    assert why_missed(missed_runs_of(policy), PLANNED, PLANNED + late_by, NEWER) is None


@pytest.mark.parametrize(
    ("policy", "late_by", "newer", "reason"),
    [
        ("skip", timedelta(minutes=2), None, "2 minutes late; the campaign skips what it has missed (skip)"),
        ("late:6h", 6 * HOUR, None, None),
        ("late:6h", 6 * HOUR, NEWER, None),
        ("late:6h", 7 * HOUR, None, "7 hours late, more than the campaign allows (late:6h)"),
        ("late:6h", 72 * HOUR, None, "3 days late, more than the campaign allows (late:6h)"),
        ("once:2d", 48 * HOUR, None, None),
        ("once:2d", 49 * HOUR, None, "2 days late, more than the campaign allows (once:2d)"),
        ("once:2d", 30 * HOUR, NEWER, "2026-11-24 09:00 UTC has come as well, and only the newest is run (once:2d)"),
    ],
)
def test_a_late_run_starts_or_is_missed_with_a_reason_that_names_the_policy(
    policy: str, late_by: timedelta, newer: datetime | None, reason: str | None
) -> None:
    assert why_missed(missed_runs_of(policy), PLANNED, PLANNED + late_by, newer) == reason


@pytest.mark.parametrize(
    ("policy", "late_by", "asks"),
    [
        ("once:2d", timedelta(), False),
        ("once:2d", HOUR, True),
        ("once:2d", 49 * HOUR, False),
        ("late:2d", HOUR, False),
        ("skip", HOUR, False),
    ],
)
def test_temporal_is_asked_for_newer_times_only_where_the_answer_matters(
    policy: str, late_by: timedelta, asks: bool
) -> None:
    assert depends_on_newer(missed_runs_of(policy), PLANNED, PLANNED + late_by) is asks


@pytest.mark.parametrize("text", ["skip", "late:1m", "late:90m", "late:6h", "late:31d", "once:2d"])
def test_a_policy_is_written_as_it_is_read(text: str) -> None:
    assert str(missed_runs_of(text)) == text


def test_by_default_a_run_may_start_ten_minutes_late() -> None:
    assert str(MissedRuns()) == "late:10m"


@pytest.mark.parametrize("text", ["", "late", "late:", "late:6", "late:6w", "late:-1h", "never", "skip:1h", "LATE:6h"])
def test_what_is_no_policy_is_refused_with_the_words_that_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be skip, late:6h .* or once:2d"):
        missed_runs_of(text)


@pytest.mark.parametrize("text", ["late:0m", "once:32d", "late:99999d"])
def test_a_span_beyond_what_temporal_remembers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="from 1 minute to 31 days late"):
        missed_runs_of(text)
    assert MissedRuns(MissedPolicy.LATE, LONGEST).until == LONGEST


@pytest.mark.parametrize(
    ("slot", "at"),
    [
        ("2026-11-23T09:00:00Z", PLANNED),
        ("2026-11-23T09:00:00+00:00", PLANNED),
        ("2026-11-23T09:00:00", None),
        ("november-reminder", None),
        ("2026-11-23T09:00Z-1a2b3c4d", None),
        ("", None),
    ],
)
def test_a_planned_time_is_read_from_the_slot_and_a_key_of_somebodys_is_none(slot: str, at: datetime | None) -> None:
    assert planned_time(slot) == at
