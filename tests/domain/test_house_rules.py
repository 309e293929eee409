"""What the operator asks of every campaign, unless its own file says otherwise."""

import pytest
from pydantic import ValidationError

from domain.house_rules import HouseRules
from domain.plan import Halt, Launch, Plan, Rung
from domain.rules import USUAL_QUIET_HOURS, Cap, NeverOpensError, QuietHours, SendWindow, permitted_hours

LADDER = (Rung(channel="fcm", ttl_seconds=60),)
HOUSE = HouseRules(zone="Asia/Dhaka", launch=Launch(undo_seconds=30), halt=Halt(failure_percent=20))


def test_a_plan_that_says_nothing_gets_the_operators_rules() -> None:
    complete = HOUSE.applied_to(Plan(ladder=LADDER))
    assert (complete.zone, complete.quiet_hours) == ("Asia/Dhaka", USUAL_QUIET_HOURS)
    assert (complete.launch, complete.halt) == (HOUSE.launch, HOUSE.halt)


def test_what_a_campaigns_file_says_stays() -> None:
    launch, halt = Launch(canary_percent=5, undo_seconds=None), Halt(failure_percent=None)
    own = Plan(ladder=LADDER, zone="Europe/Berlin", quiet_hours=None, launch=launch, halt=halt)
    assert HOUSE.applied_to(own) == own


def test_a_campaign_that_names_its_canary_keeps_the_operators_approval() -> None:
    house = HouseRules(launch=Launch(approval_above=1000, undo_seconds=30), halt=Halt(failure_percent=20, after=10))
    own = Plan(ladder=LADDER, launch=Launch(canary_percent=5), halt=Halt(acknowledged_percent=40))
    complete = house.applied_to(own)
    assert complete.launch == Launch(canary_percent=5, approval_above=1000, undo_seconds=30)
    assert complete.halt == Halt(acknowledged_percent=40, failure_percent=20, after=10)


def test_a_plan_keeps_its_rules_when_it_is_stored_and_read_again() -> None:
    complete = HOUSE.applied_to(Plan(ladder=LADDER))
    assert Plan.model_validate_json(complete.model_dump_json()) == complete


def test_quiet_hours_span_midnight() -> None:
    assert USUAL_QUIET_HOURS.hours == {21, 22, 23, 0, 1, 2, 3, 4, 5, 6, 7}
    assert permitted_hours(None, USUAL_QUIET_HOURS) == set(range(8, 21))
    assert permitted_hours(SendWindow(opens=6, closes=10), USUAL_QUIET_HOURS) == {8, 9}
    assert QuietHours(begin=12, end=14).hours == {12, 13}


def test_a_window_within_the_quiet_hours_is_refused_before_anything_is_done() -> None:
    with pytest.raises(NeverOpensError, match=r"window 22-24 never opens.*21-8"):
        HOUSE.applied_to(Plan(ladder=LADDER, window=SendWindow(opens=22, closes=24)))
    with pytest.raises(ValidationError, match="never opens"):
        Plan(ladder=LADDER, window=SendWindow(opens=22, closes=24), quiet_hours=USUAL_QUIET_HOURS)


def test_rules_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="count"):
        Cap(count=0, days=7)
    with pytest.raises(ValidationError, match="days"):
        Cap(count=1, days=0)
    with pytest.raises(ValidationError, match="none or all of the day"):
        QuietHours(begin=8, end=8)
    with pytest.raises(ValidationError, match="never opens"):
        SendWindow(opens=9, closes=9)
