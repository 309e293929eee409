from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from boto3.dynamodb.types import Binary
from hypothesis import given
from hypothesis import strategies as st

from domain.last_check import EPOCH, LATEST, LastCheck, Standing, is_stale, read_last_check

MARCH = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
MARCH_SECONDS = 1_772_368_200
MONTH = timedelta(days=30)

LAST_MOMENT = LATEST - timedelta(microseconds=1)
MOMENTS = st.datetimes(EPOCH.replace(tzinfo=None), LAST_MOMENT.replace(tzinfo=None), timezones=st.just(UTC))
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
AFTER_MILLISECONDS_GROW_BIG = datetime(1973, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T12:30:00+00:00",
        "2026-03-01T14:30:00+02:00",
        "2026-03-01T12:30:00Z",
        "2026-03-01T12:30:00.000z",
        "2026-03-01T12:30:00",
        "2026-03-01 12:30",
        "  2026-03-01T12:30Z\n",
        MARCH_SECONDS,
        Decimal(MARCH_SECONDS),
        float(MARCH_SECONDS),
        MARCH_SECONDS * 1000,
        Decimal(MARCH_SECONDS * 1000),
        str(MARCH_SECONDS),
        f"{MARCH_SECONDS}.0",
        str(MARCH_SECONDS * 1000),
    ],
)
def test_each_form_of_a_time_is_read_alike(value: object) -> None:
    assert read_last_check(value) == LastCheck(Standing.CHECKED, MARCH)


def test_a_date_alone_is_its_midnight_in_utc() -> None:
    assert read_last_check("2026-03-01").at == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", "   ", "\n"])
def test_nothing_means_never_checked(value: object) -> None:
    assert read_last_check(value) == LastCheck(Standing.NEVER_CHECKED, None)


@pytest.mark.parametrize(
    "value",
    [
        {"at": "2026-03-01"},
        ["2026-03-01"],
        {"2026-03-01"},
        b"2026-03-01",
        Binary(b"2026-03-01"),
        True,
        False,
        object(),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("-Infinity"),
        float("nan"),
        float("inf"),
        Decimal("1E+999999"),
        Decimal("-1E+999999"),
        -1,
        Decimal(-MARCH_SECONDS),
        "-1",
        "soon",
        "31/12/2025",
        "2026-02-30",
        "2026-03-01T25:00:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1969-12-31",
        "2200-01-01",
        MARCH_SECONDS * 1_000_000,
        "1" * 10_000,
        "²",
        "\u0661\u0667",
        "2026-03-01\0",
    ],
)
def test_what_is_no_time_is_unreadable(value: object) -> None:
    assert read_last_check(value) == LastCheck(Standing.UNREADABLE, None)


def test_up_to_a_hundred_thousand_million_a_number_counts_seconds() -> None:
    assert read_last_check(4_102_444_800).at == datetime(2100, 1, 1, tzinfo=UTC)
    assert read_last_check(100_000_000_000).standing is Standing.UNREADABLE
    assert read_last_check(100_000_000_001).at == datetime(1973, 3, 3, 9, 46, 40, 1_000, tzinfo=UTC)


@given(MOMENTS, OFFSETS)
def test_iso_text_is_read_back_exactly_whatever_its_offset(moment: datetime, offset: timezone) -> None:
    assert read_last_check(moment.astimezone(offset).isoformat()).at == moment


@given(MOMENTS, st.sampled_from([int, Decimal, float, str]))
def test_seconds_are_read_back_exactly(moment: datetime, form: type) -> None:
    moment = moment.replace(microsecond=0)
    assert read_last_check(form((moment - EPOCH) // timedelta(seconds=1))).at == moment


@given(MOMENTS.filter(lambda moment: moment > AFTER_MILLISECONDS_GROW_BIG), st.sampled_from([int, Decimal, float, str]))
def test_milliseconds_are_read_back_exactly(moment: datetime, form: type) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert read_last_check(form((moment - EPOCH) // timedelta(milliseconds=1))).at == moment


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals(allow_nan=True) | st.text() | st.binary()
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@given(VALUES)
def test_reading_never_fails_and_gives_a_time_in_bounds_exactly_when_it_was_checked(value: object) -> None:
    last_check = read_last_check(value)
    assert (last_check.at is not None) == (last_check.standing is Standing.CHECKED)
    if last_check.at is not None:
        assert EPOCH <= last_check.at < LATEST
        assert last_check.at.utcoffset() == timedelta()


@given(MOMENTS, st.timedeltas(timedelta(microseconds=1), timedelta(days=3650)))
def test_older_than_the_limit_is_stale_and_the_limit_itself_is_not(moment: datetime, limit: timedelta) -> None:
    last_check = LastCheck(Standing.CHECKED, moment)
    assert not is_stale(last_check, moment + limit, limit)
    assert is_stale(last_check, moment + limit + timedelta(microseconds=1), limit)


@pytest.mark.parametrize("value", [None, "soon"])
def test_never_checked_and_unreadable_are_stale(value: object) -> None:
    assert is_stale(read_last_check(value), MARCH, MONTH)


def test_a_check_in_the_future_counts_as_checked_and_is_not_stale() -> None:
    last_check = read_last_check((MARCH + timedelta(days=400)).isoformat())
    assert last_check.standing is Standing.CHECKED
    assert not is_stale(last_check, MARCH, MONTH)
