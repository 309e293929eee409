"""`drumbeat rehearse` as a person types it, and what a forecast looks like."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from console.forecast import duration, forecast_view
from domain.forecast import ChannelForecast, Forecast, Hour, Launched, Pace, PaceBasis, PutOff
from domain.measured import LEAST_MEASURED, ChannelRecord, Latency
from domain.states import FailureKind, HoldReason, MessageState
from tests.console.terminal import Terminal

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
PACE = Pace(per_second=30, basis=PaceBasis.ASSUMED)
FORECAST = Forecast(
    campaign="lock_winter",
    starts_at=START,
    zone="Europe/Oslo",
    seed=0,
    targeted=1300,
    ends={MessageState.SENT: 1200, MessageState.SUPPRESSED: 100},
    not_sent={"no_address": 100},
    put_off=(
        PutOff(reason=HoldReason.WINDOW, messages=400, until_first=START, until_last=START + timedelta(hours=20)),
    ),
    hours=(
        Hour(begins=START, sends={"fcm": 1000}),
        Hour(begins=START + timedelta(hours=20), sends={"fcm": 100, "mqtt": 100}),
    ),
    channels=(
        ChannelForecast(channel="fcm", pace=PACE, tries=1150, sends=1100, failed={FailureKind.BUSY: 50}),
        ChannelForecast(
            channel="mqtt", pace=PACE, tries=100, sends=100, cost=Decimal("1.5"), currency="EUR", seconds_at_pace=3.3
        ),
    ),
    first_send=START,
    last_send=START + timedelta(hours=20, minutes=5),
    last_end=START + timedelta(hours=44),
    cost={"EUR": Decimal("1.5")},
    launch=Launched(canary=130, others_go_at=START + timedelta(minutes=30)),
    off=("sms",),
    left_out={"fresh": 7},
    assumed=("mqtt: nobody clicks [bold]; past runs show too little of it.",),
)


def shown(forecast: Forecast, width: int) -> list[str]:
    console = Console(width=width, file=StringIO())
    console.print(forecast_view(forecast))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 130])
def test_a_forecast_shows_its_course_its_hours_and_what_it_rests_on(width: int) -> None:
    lines = shown(FORECAST, width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for expected in (
        "1,300 people are targeted. Nothing was stored, nothing was sent.",
        "It would start on Mon 02 Mar 2026 09:00 (all times in Europe/Oslo).",
        "130 go first; the others from Mon 02 Mar 2026 09:30 on.",
        "Last send: Tue 03 Mar 2026 05:05, 20 h 5 min later.",
        "It costs 1.50 EUR, fcm apart, which does not say.",
        "Off, and no rung of it: sms.",
        "19 h without a send",
        "window 400 Mon 02 Mar 09:00 to Tue 03 Mar 05:00",
        "no address 100",
        "30 assumed",
        "mqtt: nobody clicks [bold]; past",
    ):
        assert expected in text


def test_the_bars_are_as_long_as_the_hours_are_busy() -> None:
    first, second = (line for line in shown(FORECAST, 130) if line.startswith(("Mon 02 Mar", "Tue 03 Mar")))
    assert "1,000" in first
    assert first.count("█") == 60
    assert " 200 " in second
    assert second.count("█") == 12


def test_more_hours_than_a_screen_has_lines_are_shown_together() -> None:
    hours = tuple(Hour(begins=START + timedelta(hours=n), sends={"fcm": 1}) for n in range(100))
    lines = shown(FORECAST.model_copy(update={"hours": hours}), 80)
    rows = [line for line in lines if "█" in line and " Mar " in line]
    assert "sends in 3 hours" in "\n".join(lines)
    assert len(rows) == 34
    assert sum(int(row.split()[4]) for row in rows) == 100


def test_a_run_that_sends_to_nobody_says_so() -> None:
    nobody = Forecast(
        **FORECAST.model_dump(exclude={"hours", "first_send", "last_send", "channels", "targeted"}),
        hours=(),
        first_send=None,
        last_send=None,
        channels=(),
        targeted=0,
    )
    text = "\n".join(shown(nobody, 80))
    assert "0 people are targeted" in text
    assert "Nobody would be sent anything." in text


def test_what_was_measured_is_said_as_far_as_it_says_anything() -> None:
    fcm = ChannelRecord(
        channel="fcm",
        tried=1204,
        failed={FailureKind.ADDRESS_REJECTED: 50},
        to_acknowledge=400,
        acknowledged=300,
        acknowledged_after=Latency(median_seconds=90, p90_seconds=900),
        to_click=3,
        clicked=3,
        per_second=42.5,
    )
    mqtt = ChannelRecord(channel="mqtt", tried=LEAST_MEASURED - 1)
    text = " ".join(" ".join(shown(FORECAST.model_copy(update={"measured": (fcm, mqtt)}), 130)).split())
    assert (
        "fcm, this campaign's runs of 90 days: of 1,204 tries 4.2 % were refused; "
        "of 400 devices 75.0 % acknowledged, half within 1 min 30 s; up to 42.5 a second."
    ) in text
    assert "mqtt, this" not in text


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(), "0 s"),
        (timedelta(seconds=59.6), "1 min"),
        (timedelta(days=2, hours=3, minutes=4), "2 d 3 h"),
        (timedelta(minutes=1, seconds=4), "1 min 4 s"),
        (timedelta(days=1, seconds=4), "1 d"),
    ],
)
def test_a_length_of_time_is_said_in_its_largest_unit_and_the_next(length: timedelta, said: str) -> None:
    assert duration(length) == said


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("tomorrow", "'tomorrow' is not a time"),
        ("2026-03-02T09:00:00", "'2026-03-02T09:00:00' has no offset"),
        ("2026-02-30T09:00:00Z", "'2026-02-30T09:00:00Z' is not a time"),
        ("9999-12-31T23:59:59Z", "'9999-12-31T23:59:59Z' is more than ten years away"),
    ],
)
def test_a_time_that_is_none_is_refused_with_the_remedy(nowhere: Terminal, at: str, why: str) -> None:
    said = nowhere("rehearse", "lock_battery", "--at", at)
    assert said.code == 2
    assert "--at" in said.err
    assert why in said.err
    assert "2026-03-02T09:00:00+01:00" in said.err


def test_a_campaign_or_parameter_that_is_not_there_is_refused(drumbeat: Terminal) -> None:
    assert "there is no campaign 'lock_wintr'" in drumbeat("rehearse", "lock_wintr").err
    assert "there is no parameter 'colour'" in drumbeat("rehearse", "lock_battery", "--param", "colour=1").err


def test_without_a_channel_nothing_can_be_rehearsed(drumbeat: Terminal) -> None:
    said = drumbeat("rehearse", "lock_battery")
    assert said.code == 1
    assert "no channel of this campaign is on (fcm, mqtt)" in said.err


@pytest.mark.parametrize(("file", "why"), [("no/folder.json", "there is no folder"), (".", "it is a folder")])
def test_a_file_that_cannot_be_written_is_refused_before_anybody_waits(nowhere: Terminal, file: str, why: str) -> None:
    said = nowhere("rehearse", "lock_battery", "--json", file)
    assert (said.code, why in said.err) == (2, True)
