"""Hours, caps, suppressions and consents: what the arbiter says of one person."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.arbiter import (
    APART_BY_PRIORITY,
    NO_PERMITTED_HOUR,
    Deferred,
    Refused,
    arbitrate,
    permitted_addresses,
    refusal,
)
from domain.persons import PersonFacts, RecentSend
from domain.plan import Plan, Rung
from domain.rules import USUAL_QUIET_HOURS, Cap, ConsentRule, QuietHours, SendWindow
from domain.states import HoldReason

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def a_plan(**rules: object) -> Plan:
    ladder = (Rung(channel="fcm", ttl_seconds=3600), Rung(channel="sms", ttl_seconds=3600))
    return Plan.model_validate({"ladder": ladder, **rules})


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


QUIET = a_plan(quiet_hours=USUAL_QUIET_HOURS)


@pytest.mark.parametrize(
    ("zone", "now", "until"),
    [
        ("Asia/Dhaka", "2026-03-02T20:59:59", None),
        ("Asia/Dhaka", "2026-03-02T21:00", "2026-03-03T08:00"),
        ("Asia/Dhaka", "2026-03-03T07:59:59", "2026-03-03T08:00"),
        ("Asia/Dhaka", "2026-03-03T08:00", None),
        ("Asia/Kathmandu", "2026-03-02T23:10", "2026-03-03T08:00"),
        ("Asia/Kolkata", "2026-03-02T23:10", "2026-03-03T08:00"),
        ("Europe/Berlin", "2026-03-28T22:00", "2026-03-29T08:00"),  # the clocks go forward in that night
        ("Europe/Berlin", "2026-10-24T22:00", "2026-10-25T08:00"),  # and back in that one
        ("Australia/Lord_Howe", "2026-04-04T22:00", "2026-04-05T08:00"),  # back by half an hour
        ("Australia/Lord_Howe", "2026-10-03T22:00", "2026-10-04T08:00"),
        ("Pacific/Chatham", "2026-04-04T22:00", "2026-04-05T08:00"),
    ],
)
def test_quiet_hours_last_from_nine_to_eight_by_the_recipients_own_clock(
    zone: str, now: str, until: str | None
) -> None:
    ruling = arbitrate(QUIET, PersonFacts(zone=zone), at(now, zone))
    assert ruling == (Deferred(at(until, zone), HoldReason.QUIET_HOURS) if until else None)


def test_a_night_in_which_the_clocks_change_is_an_hour_shorter_or_longer() -> None:
    night = {
        day: arbitrate(QUIET, PersonFacts(zone="Europe/Berlin"), at(f"2026-{day}T21:00", "Europe/Berlin"))
        for day in ("03-28", "10-24")
    }
    lasts = {
        day: ruling.until - at(f"2026-{day}T21:00", "Europe/Berlin")
        for day, ruling in night.items()
        if isinstance(ruling, Deferred)
    }
    assert lasts == {"03-28": 10 * HOUR, "10-24": 12 * HOUR}


def test_an_hour_that_a_day_does_not_have_is_waited_for_till_the_next_day() -> None:
    two = a_plan(window=SendWindow(opens=2, closes=3))
    berlin = PersonFacts(zone="Europe/Berlin")
    skipped = arbitrate(two, berlin, at("2026-03-29T01:30", "Europe/Berlin"))
    assert skipped == Deferred(at("2026-03-30T02:00", "Europe/Berlin"), HoldReason.WINDOW)
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert (arbitrate(two, berlin, first), arbitrate(two, berlin, second)) == (None, None)  # half past two, twice


def test_nobodys_device_has_no_night_but_a_campaigns_window() -> None:
    both = a_plan(quiet_hours=USUAL_QUIET_HOURS, window=SendWindow(opens=6, closes=22))
    device = PersonFacts(zone="UTC", is_person=False)
    assert arbitrate(both, device, at("2026-03-02T21:30")) is None
    assert arbitrate(both, device, at("2026-03-02T22:30")) == Deferred(at("2026-03-03T06:00"), HoldReason.WINDOW)


@pytest.mark.parametrize(
    ("window", "quiet_hours", "until", "reason"),
    [
        ((9, 18), (21, 8), "2026-03-03T09:00", HoldReason.WINDOW),
        ((6, 18), (21, 8), "2026-03-03T08:00", HoldReason.QUIET_HOURS),
        ((8, 18), (21, 8), "2026-03-03T08:00", HoldReason.QUIET_HOURS),
        ((20, 24), (21, 8), "2026-03-03T20:00", HoldReason.WINDOW),
        ((0, 23), (21, 8), "2026-03-03T08:00", HoldReason.QUIET_HOURS),
    ],
)
def test_of_window_and_quiet_hours_the_one_that_ends_last_is_the_reason(
    window: tuple[int, int], quiet_hours: tuple[int, int], until: str, reason: HoldReason
) -> None:
    plan = a_plan(
        window=SendWindow(opens=window[0], closes=window[1]),
        quiet_hours=QuietHours(begin=quiet_hours[0], end=quiet_hours[1]),
    )
    assert arbitrate(plan, PersonFacts(zone="UTC"), at("2026-03-02T22:30")) == Deferred(at(until), reason)


def test_who_may_be_in_several_zones_is_written_to_when_it_is_day_in_all_of_them() -> None:
    somewhere = PersonFacts(zone_candidates=("America/New_York", "America/Los_Angeles"))
    ruling = arbitrate(QUIET, somewhere, at("2026-03-02T08:30", "America/New_York"))
    assert ruling == Deferred(at("2026-03-02T08:00", "America/Los_Angeles"), HoldReason.QUIET_HOURS)
    assert arbitrate(QUIET, somewhere, at("2026-03-02T20:59", "America/New_York")) is None
    assert isinstance(arbitrate(QUIET, somewhere, at("2026-03-02T21:00", "America/New_York")), Deferred)


def test_a_zone_that_is_known_is_stronger_than_candidates_and_candidates_than_the_plans() -> None:
    plan = a_plan(quiet_hours=USUAL_QUIET_HOURS, zone="Asia/Tokyo")  # where it is night at noon in London
    assert isinstance(arbitrate(plan, PersonFacts(), NOON), Deferred)
    assert arbitrate(plan, PersonFacts(zone_candidates=("Europe/London",)), NOON) is None
    assert arbitrate(plan, PersonFacts(zone="Europe/London", zone_candidates=("Asia/Tokyo",)), NOON) is None


@pytest.mark.parametrize("zone", ["Europe/Olso", "", "../etc/passwd", "America", "\0"])
def test_a_zone_that_nobody_knows_is_as_one_that_is_not_known(zone: str) -> None:
    plan = a_plan(quiet_hours=USUAL_QUIET_HOURS, zone="Asia/Tokyo")
    assert isinstance(arbitrate(plan, PersonFacts(zone=zone), NOON), Deferred)
    assert arbitrate(plan, PersonFacts(zone=zone, zone_candidates=(zone, "Europe/London")), NOON) is None
    assert isinstance(arbitrate(plan, PersonFacts(zone_candidates=(zone,)), NOON), Deferred)


def test_candidates_between_which_it_is_never_day_in_both_are_refused_and_not_put_off_for_ever() -> None:
    plan = a_plan(window=SendWindow(opens=9, closes=17), caps=[{"count": 1, "days": 7}])
    apart = PersonFacts(zone_candidates=("Europe/London", "Pacific/Auckland"), recent_sends=(RecentSend(NOON, 9),))
    assert arbitrate(plan, apart, NOON) == Refused(NO_PERMITTED_HOUR)


CAPPED = a_plan(caps=[Cap(count=1, days=7), Cap(count=3, days=30)])


def sends(*days_ago: float, priority: int = 5) -> tuple[RecentSend, ...]:
    return tuple(sorted(RecentSend(NOON - timedelta(days=days), priority) for days in days_ago))


@pytest.mark.parametrize(
    ("days_ago", "frees_in"),
    [
        ([6, 2], 5),
        ([29, 20, 10, 9], 10),
        ([], None),
        ([7], None),
        ([6.9], 0.1),
        ([2], 5),
        ([29, 20, 10], 1),
        ([29, 20, 2], 5),
        ([31, 20, 10], None),
    ],
)
def test_every_cap_must_have_room(days_ago: list[float], frees_in: float | None) -> None:
    ruling = arbitrate(
        CAPPED.model_copy(update={"priority": 9}), PersonFacts(recent_sends=sends(*days_ago, priority=9)), NOON
    )
    assert ruling == (Deferred(NOON + timedelta(days=frees_in), HoldReason.CAP) if frees_in else None)


def test_a_cap_counts_what_the_same_or_a_higher_priority_has_sent() -> None:
    ranks = {
        ours: [
            isinstance(
                arbitrate(
                    CAPPED.model_copy(update={"priority": ours}),
                    PersonFacts(recent_sends=sends(1, priority=theirs)),
                    NOON,
                ),
                Deferred,
            )
            for theirs in (2, 5, 8)
        ]
        for ours in (2, 5, 8)
    }
    assert ranks == {2: [True, True, True], 5: [False, True, True], 8: [False, False, True]}


def test_where_a_cap_frees_for_several_the_higher_priority_looks_first() -> None:
    person = PersonFacts(recent_sends=sends(2, priority=9))
    untils = [
        ruling.until
        for priority in (9, 5, 4)
        if isinstance(ruling := arbitrate(CAPPED.model_copy(update={"priority": priority}), person, NOON), Deferred)
    ]
    assert untils == [NOON + 5 * DAY + steps * APART_BY_PRIORITY for steps in (0, 4, 5)]
    assert timedelta(seconds=2) <= APART_BY_PRIORITY


def test_a_bypass_is_of_caps_and_of_nothing_else() -> None:
    plan = a_plan(caps=[Cap(count=1, days=7)], quiet_hours=USUAL_QUIET_HOURS, bypass_frequency_caps=True)
    person = PersonFacts(zone="UTC", recent_sends=sends(1), suppressed={"fcm": {"token": "unsubscribed"}})
    assert arbitrate(plan, person, NOON) is None
    assert arbitrate(plan, person, NOON.replace(hour=22)) == Deferred(
        NOON.replace(day=3, hour=8), HoldReason.QUIET_HOURS
    )
    assert permitted_addresses(plan, person, "fcm", ("token",)) == ()


def test_nobodys_device_has_no_caps() -> None:
    assert arbitrate(CAPPED, PersonFacts(recent_sends=sends(1), is_person=False), NOON) is None


def test_what_is_dead_or_suppressed_is_left_out_of_the_addresses() -> None:
    person = PersonFacts(rejected={"fcm": frozenset({"dead"})}, suppressed={"fcm": {"muted": "opted_out"}})
    assert permitted_addresses(CAPPED, person, "fcm", ("dead", "muted", "good")) == ("good",)
    assert permitted_addresses(CAPPED, person, "sms", ("dead",)) == ("dead",)
    assert permitted_addresses(CAPPED, PersonFacts(suppressed_because="complaint"), "sms", ("number",)) == ()


NEWS, WANTED = ConsentRule(purpose="news"), ConsentRule(purpose="news", opt_in=True)


@pytest.mark.parametrize(
    ("rule", "said", "reached"),
    [
        (None, {"*": False}, ["fcm", "sms"]),
        (NEWS, {}, ["fcm", "sms"]),
        (NEWS, {"sms": False}, ["fcm"]),
        (NEWS, {"*": False}, []),
        (NEWS, {"*": False, "sms": True}, ["sms"]),
        (WANTED, {}, []),
        (WANTED, {"sms": True}, ["sms"]),
        (WANTED, {"*": True}, ["fcm", "sms"]),
        (WANTED, {"*": True, "fcm": False}, ["sms"]),
    ],
)
def test_what_was_said_of_a_channel_is_stronger_than_what_was_said_of_all(
    rule: ConsentRule | None, said: dict[str, bool], reached: list[str]
) -> None:
    plan, person = a_plan(consent=rule), PersonFacts(consents=said)
    assert [channel for channel in ("fcm", "sms") if permitted_addresses(plan, person, channel, ("it",))] == reached


ADDRESSES = {"fcm": ("token",), "sms": ("number",)}


@pytest.mark.parametrize(
    ("person", "consent", "reason"),
    [
        (PersonFacts(), None, "no_address"),
        (
            PersonFacts(suppressed_because="unsubscribed", suppressed={"fcm": {"token": "complaint"}}),
            NEWS,
            "unsubscribed",
        ),
        (
            PersonFacts(rejected={"fcm": frozenset({"token"})}, suppressed={"sms": {"number": "opted_out"}}),
            None,
            "opted_out",
        ),
        (PersonFacts(suppressed={"fcm": {"token": "complaint"}, "sms": {"number": "opted_out"}}), None, "complaint"),
        (PersonFacts(consents={"*": False}), NEWS, "no_consent"),
        (PersonFacts(), WANTED, "no_consent"),
        (PersonFacts(rejected={channel: frozenset(each) for channel, each in ADDRESSES.items()}), WANTED, "no_address"),
    ],
)
def test_the_reason_is_what_was_said_first_down_the_ladder(
    person: PersonFacts, consent: ConsentRule | None, reason: str
) -> None:
    addresses = {} if reason == "no_address" and consent is None else ADDRESSES
    assert refusal(a_plan(consent=consent), person, addresses) == reason
