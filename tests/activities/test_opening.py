"""A plan as it stays for the whole run."""

from activities.opening import freeze
from domain.house_rules import NO_HOUSE_RULES, HouseRules
from domain.plan import Plan
from domain.rules import QuietHours
from tests.fakes import FakeChannel, ProbeParameters, a_probe

CHANNELS = {"fcm": FakeChannel("fcm"), "mqtt": FakeChannel("mqtt")}


def frozen(house_rules: HouseRules = NO_HOUSE_RULES, *, bypass: bool = False, **changes: object) -> Plan:
    campaign = a_probe()
    plan = campaign.plan(ProbeParameters()).model_copy(update=changes)
    return freeze(campaign, plan, CHANNELS, house_rules, bypass_frequency_caps=bypass)


def test_whoever_starts_a_run_bypasses_the_caps_and_a_campaigns_file_does_not() -> None:
    assert frozen(bypass=True).bypass_frequency_caps is True
    assert frozen(bypass_frequency_caps=True).bypass_frequency_caps is False


def test_the_operators_quiet_hours_and_zone_are_frozen_into_the_plan() -> None:
    house = HouseRules(zone="Asia/Dhaka", quiet_hours=QuietHours(begin=22, end=7))
    plan = frozen(house)
    assert (plan.zone, plan.quiet_hours) == ("Asia/Dhaka", QuietHours(begin=22, end=7))


def test_a_channel_that_is_off_is_no_rung() -> None:
    campaign = a_probe()
    plan = freeze(campaign, campaign.plan(ProbeParameters()), {"mqtt": CHANNELS["mqtt"]}, NO_HOUSE_RULES)
    assert [rung.channel for rung in plan.ladder] == ["mqtt"]
