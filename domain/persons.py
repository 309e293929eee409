"""A person's rules: when they may be sent something, and which of their addresses are dead."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from domain.plan import Plan, is_zone
from domain.rules import SendWindow
from domain.states import HoldReason

PERSON = "person"
"""In place of a channel: the hash is of a person's key, and covers all their addresses."""


@dataclass(frozen=True, slots=True)
class PersonFacts:
    zone: str | None = None
    recent_sends: tuple[datetime, ...] = ()
    """When other messages were handed over to this person, oldest first, whatever became of them."""
    rejected: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Addresses by channel that a provider has called dead."""


def next_permitted(
    plan: Plan, person: PersonFacts, now: datetime, *, count_caps: bool = True
) -> tuple[datetime, HoldReason] | None:
    """When this person may be sent to next, and what stands in the way until then; None: now."""
    if count_caps and (freed := _cap_frees(plan, person, now)):
        return freed, HoldReason.CAP
    if plan.window:
        # A source may say anything: a zone that nobody knows is as one that is not known.
        zone = person.zone if person.zone and is_zone(person.zone) else plan.zone
        opens = window_opens(plan.window, zone, now)
        return (opens, HoldReason.WINDOW) if opens > now else None
    return None


def window_opens(window: SendWindow, zone: str, now: datetime) -> datetime:
    """The first moment from `now` on that lies in the window, by the wall clock of `zone`."""
    local = now.astimezone(ZoneInfo(zone))
    if window.opens <= local.hour < window.closes:
        return now
    day = local.date() if local.hour < window.opens else local.date() + timedelta(days=1)
    return datetime.combine(day, time(window.opens), tzinfo=ZoneInfo(zone)).astimezone(now.tzinfo)


def _cap_frees(plan: Plan, person: PersonFacts, now: datetime) -> datetime | None:
    frees = [
        counted[-cap.count] + timedelta(days=cap.days)
        for cap in plan.caps
        if len(counted := [at for at in person.recent_sends if at > now - timedelta(days=cap.days)]) >= cap.count
    ]
    return max(frees, default=None)
