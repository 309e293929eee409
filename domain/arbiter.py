"""The arbiter: whether a person may be sent something now, where, and if not, until when or why not at all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from domain.persons import ANY_CHANNEL, PersonFacts
from domain.plan import HIGHEST_PRIORITY, Plan, is_zone
from domain.rules import permitted_hours
from domain.states import HoldReason

NO_ADDRESS = "no_address"
NO_CONSENT = "no_consent"
NO_PERMITTED_HOUR = "no_permitted_hour"

APART_BY_PRIORITY = timedelta(seconds=5)
"""Where a cap frees for several at the same moment, each step of priority looks so much later."""
SEARCHED = timedelta(days=8)
"""What is not permitted within it never is: every hour of a week was looked at, and a clock that changes in it."""
_QUARTER = timedelta(minutes=15)
"""No zone's clock is off by anything else, so that hours begin only here."""


@dataclass(frozen=True, slots=True)
class Deferred:
    until: datetime
    reason: HoldReason


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str


def permitted_addresses(plan: Plan, person: PersonFacts, channel: str, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a channel that may be written to, in their order."""
    if person.suppressed_because is not None or not _consents(plan, person, channel):
        return ()
    barred = person.rejected.get(channel, frozenset()) | person.suppressed.get(channel, {}).keys()
    return tuple(address for address in addresses if address not in barred)


def refusal(plan: Plan, person: PersonFacts, addresses: Mapping[str, tuple[str, ...]]) -> str:
    """Why somebody is sent nothing who has no permitted address left: what was said first, down the ladder."""
    if person.suppressed_because is not None:
        return person.suppressed_because
    for rung in plan.ladder:
        dead = person.rejected.get(rung.channel, frozenset())
        reasons = person.suppressed.get(rung.channel, {})
        for address in addresses.get(rung.channel, ()):
            if address in reasons:
                return reasons[address]
            if address not in dead and not _consents(plan, person, rung.channel):
                return NO_CONSENT
    return NO_ADDRESS


def without_their_word(plan: Plan, person: PersonFacts) -> tuple[Plan, PersonFacts]:
    """As if neither they nor an operator had said anything: what is refused then has another reason."""
    return plan.model_copy(update={"consent": None}), replace(person, suppressed={}, suppressed_because=None)


def arbitrate(plan: Plan, person: PersonFacts, now: datetime, *, count_caps: bool = True) -> Deferred | Refused | None:
    """What caps and hours say of a hand-over to this person; None: now is right."""
    hours = _by_the_clock(plan, person, now)
    if isinstance(hours, Refused):
        return hours
    if count_caps and (frees := _cap_frees(plan, person, now)):
        return Deferred(frees + (HIGHEST_PRIORITY - plan.priority) * APART_BY_PRIORITY, HoldReason.CAP)
    return hours


def possible_zones(plan: Plan, person: PersonFacts) -> tuple[str, ...]:
    """A source may say anything: a zone that nobody knows is as one that is not known."""
    if person.zone and is_zone(person.zone):
        return (person.zone,)
    return tuple(zone for zone in person.zone_candidates if is_zone(zone)) or (plan.zone,)


def first_permitted(now: datetime, hours: frozenset[int], zones: tuple[str, ...]) -> datetime | None:
    """The first moment from `now` on that lies in these hours by the wall clocks of all the zones; None: never."""
    quarter = now - (now - datetime.min.replace(tzinfo=now.tzinfo)) % _QUARTER
    opens = _first_permitted_quarter(quarter, hours, zones)
    return now if opens == quarter else opens


# Thousands share a zone: the search is done for all of them at once.
@lru_cache(maxsize=4096)
def _first_permitted_quarter(quarter: datetime, hours: frozenset[int], zones: tuple[str, ...]) -> datetime | None:
    moment, last = quarter, quarter + SEARCHED
    while not _lies_in(moment, hours, zones):
        moment += _QUARTER
        if moment > last:
            return None
    return moment


def _lies_in(moment: datetime, hours: frozenset[int], zones: tuple[str, ...]) -> bool:
    return all(moment.astimezone(ZoneInfo(zone)).hour in hours for zone in zones)


def _by_the_clock(plan: Plan, person: PersonFacts, now: datetime) -> Deferred | Refused | None:
    quiet_hours = plan.quiet_hours if person.is_person else None
    if plan.window is None and quiet_hours is None:
        return None
    zones = possible_zones(plan, person)
    opens = first_permitted(now, permitted_hours(plan.window, quiet_hours), zones)
    if opens is None:
        return Refused(NO_PERMITTED_HOUR)
    if opens == now:
        return None
    # Where both stand in the way, the one that ends last has the say, and a person's own where they end together.
    before = opens - _QUARTER
    quiet = quiet_hours is not None and not _lies_in(before, permitted_hours(None, quiet_hours), zones)
    return Deferred(opens, HoldReason.QUIET_HOURS if quiet else HoldReason.WINDOW)


def _consents(plan: Plan, person: PersonFacts, channel: str) -> bool:
    if plan.consent is None:
        return True
    said = person.consents.get(channel, person.consents.get(ANY_CHANNEL))
    return not plan.consent.opt_in if said is None else said


def _cap_frees(plan: Plan, person: PersonFacts, now: datetime) -> datetime | None:
    if plan.bypass_frequency_caps or not person.is_person:
        return None
    counted = [send.at for send in person.recent_sends if send.priority >= plan.priority]
    frees = [
        within[-cap.count] + timedelta(days=cap.days)
        for cap in plan.caps
        if len(within := [at for at in counted if at > now - timedelta(days=cap.days)]) >= cap.count
    ]
    return max(frees, default=None)
