"""What must hold of every hand-over that the arbiter permits, and of every deferral."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.arbiter import Deferred, arbitrate, first_permitted, possible_zones
from domain.persons import PersonFacts, RecentSend
from domain.rules import Cap, QuietHours, SendWindow
from tests.domain.test_arbiter import DAY, NOON, a_plan

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Dhaka",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Africa/Casablanca",
    "Antarctica/Troll",
]


@given(
    st.timedeltas(timedelta(), 300 * DAY).map(lambda later: NOON + later),
    st.frozensets(st.integers(0, 23), min_size=1),
    st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True),
)
def test_the_first_permitted_moment_is_the_first_of_all_that_is(
    now: datetime, hours: frozenset[int], zones: list[str]
) -> None:
    def permitted(moment: datetime) -> bool:
        return all(moment.astimezone(ZoneInfo(zone)).hour in hours for zone in zones)

    opens = first_permitted(now, hours, tuple(zones))
    assert opens is None or (opens >= now and permitted(opens))
    minute = now
    while minute < min(opens or now + DAY, now + DAY):
        assert not permitted(minute)
        minute = minute.replace(minute=minute.minute // 5 * 5, second=0, microsecond=0) + timedelta(minutes=5)


zones = st.sampled_from([None, "nowhere", *ZONES])
people = st.builds(
    PersonFacts,
    zone=zones,
    zone_candidates=st.lists(st.sampled_from([*ZONES, "nowhere"]), max_size=3).map(tuple),
    is_person=st.booleans(),
    recent_sends=st.lists(
        st.builds(RecentSend, st.timedeltas(-9 * DAY, 2 * DAY).map(lambda later: NOON + later), st.integers(0, 9)),
        max_size=4,
    ).map(lambda sends: tuple(sorted(sends))),
)
windows = st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda hours: hours[0] < hours[1])
quiet = st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda hours: hours[0] != hours[1])
caps = st.lists(st.builds(Cap, count=st.integers(1, 3), days=st.integers(1, 9)), max_size=2).map(tuple)


@given(
    person=people,
    window=st.none() | windows,
    quiet_hours=st.none() | quiet,
    caps=caps,
    priority=st.integers(0, 9),
    bypass=st.booleans(),
    later=st.timedeltas(2 * DAY, 12 * DAY) | st.timedeltas(2 * DAY, 300 * DAY),
)
def test_nobody_is_sent_to_in_a_forbidden_hour_or_over_a_cap_and_a_deferral_ends(
    *,
    person: PersonFacts,
    window: tuple[int, int] | None,
    quiet_hours: tuple[int, int] | None,
    caps: tuple[Cap, ...],
    priority: int,
    bypass: bool,
    later: timedelta,
) -> None:
    now = NOON + later
    opens = SendWindow(opens=window[0], closes=window[1]) if window else None
    night = QuietHours(begin=quiet_hours[0], end=quiet_hours[1]) if quiet_hours else None
    assume(not (opens and night and set(range(opens.opens, opens.closes)) <= night.hours))
    plan = a_plan(window=opens, quiet_hours=night, caps=caps, priority=priority, bypass_frequency_caps=bypass)

    ruling = arbitrate(plan, person, now)
    for _ in range(8):
        if not isinstance(ruling, Deferred):
            break
        assert ruling.until > now
        now = ruling.until
        ruling = arbitrate(plan, person, now)
    assert not isinstance(ruling, Deferred)
    if ruling is None:
        hours = {now.astimezone(ZoneInfo(zone)).hour for zone in possible_zones(plan, person)}
        assert opens is None or all(opens.opens <= hour < opens.closes for hour in hours)
        assert night is None or not person.is_person or not hours & night.hours
        counted = [send.at for send in person.recent_sends if send.priority >= priority]
        free = bypass or not person.is_person
        assert free or all(sum(at > now - timedelta(days=cap.days) for at in counted) < cap.count for cap in caps)
