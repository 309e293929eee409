"""A rehearsal of the lock campaign on the invented world: the whole of it, and nothing left behind."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select

from activities.rehearsing import Rehearser
from campaigns.lock_battery import CAMPAIGN, LockBattery, plan
from db.tables import Base
from domain.forecast import Forecast, PaceBasis
from domain.house_rules import HouseRules
from domain.plan import Launch
from domain.rules import SendWindow
from domain.states import HoldReason, MessageState
from sandbox.dynamodb import DynamoDbServer
from sandbox.people import World
from sources.locks import Locks
from tests.activities.conftest import FIELD, TABLE
from tests.db.scene import HASHER
from tests.fakes import FakeChannel

NINE_TO_SIX = SendWindow(opens=9, closes=18)
MORNING = datetime(2026, 3, 2, 9, tzinfo=UTC)


def rehearser(engine: Engine, dynamodb: DynamoDbServer, rules: HouseRules) -> Rehearser:
    def never_prepared() -> None:
        raise AssertionError("a rehearsal opens no channel")

    channels = {name: FakeChannel(name, prepared=never_prepared) for name in ("fcm", "mqtt")}
    return Rehearser(engine, channels, {"locks": Locks(dynamodb.client, TABLE, FIELD, engine)}, HASHER, rules)


@pytest.fixture(scope="module")
def forecast(engine: Engine, dynamodb: DynamoDbServer) -> Forecast:
    return rehearser(engine, dynamodb, HouseRules(quiet_hours=None)).rehearse(CAMPAIGN, LockBattery())


def test_everybody_who_is_targeted_ends(forecast: Forecast, world: World) -> None:
    assert forecast.targeted == world.expected.targeted == sum(forecast.ends.values())
    ways = Counter("fcm" if each.tokens else "mqtt" if each.device else "nothing" for each in world.targeted)
    assert forecast.not_sent == {"no_address": ways["nothing"]}
    assert forecast.left_out == {"fresh": world.expected.fresh, "unmapped": world.expected.unmapped}
    assert forecast.noted["unreadable"] == world.expected.unreadable


def test_with_nothing_measured_silence_is_assumed_and_said_to_be(forecast: Forecast, world: World) -> None:
    reachable = [each for each in world.targeted if each.tokens or each.device]
    devices = sum(each.device is not None for each in reachable)
    assert forecast.ends[MessageState.EXPIRED] == devices > 0
    assert forecast.ends[MessageState.SENT] == len(reachable) - devices > 0
    assert forecast.measured == ()
    assumed = "30 sends a second, every try is accepted, no device acknowledges, nobody clicks"
    assert forecast.assumed == tuple(f"{name}: {assumed}; past runs show too little of it." for name in ("fcm", "mqtt"))
    assert {each.pace.basis for each in forecast.channels} == {PaceBasis.ASSUMED}


def test_its_times_follow_from_rate_and_ttl(forecast: Forecast) -> None:
    fcm, mqtt = forecast.channels
    assert fcm.first_send == forecast.first_send == forecast.starts_at
    assert fcm.last_send is not None
    assert fcm.last_send - forecast.starts_at == pytest.approx(
        timedelta(seconds=(fcm.tries - 1) / 30), abs=timedelta(milliseconds=10)
    )
    assert mqtt.sends > 0
    assert forecast.last_end is not None
    assert forecast.last_end - forecast.starts_at > timedelta(hours=48)
    assert sum(sum(hour.sends.values()) for hour in forecast.hours) == fcm.sends + mqtt.sends


def test_nothing_is_stored(engine: Engine, forecast: Forecast, world: World) -> None:
    with engine.connect() as connection:
        rows = {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }
    assert {name: count for name, count in rows.items() if count} == {"drumbeat.devices": len(world.devices)}


def test_the_same_seed_is_the_same_course(engine: Engine, dynamodb: DynamoDbServer, world: World) -> None:
    held_out = LockBattery(holdout_percent=30)
    ours = rehearser(engine, dynamodb, HouseRules(quiet_hours=None))
    first, again, other = (ours.rehearse(CAMPAIGN, held_out, at=MORNING, seed=seed) for seed in (1, 1, 2))
    # But for the minute in which the audience was read, which the assumptions name.
    assert first == again.model_copy(update={"assumed": first.assumed})
    assert first.not_sent["held_out"] > 0
    assert first.ends != other.ends


def test_at_another_time_the_rules_of_that_time_hold(engine: Engine, dynamodb: DynamoDbServer, world: World) -> None:
    night = datetime(2026, 3, 2, 23, tzinfo=UTC)
    by_day = replace(CAMPAIGN, plan=lambda parameters: plan(parameters).model_copy(update={"window": NINE_TO_SIX}))
    forecast = rehearser(engine, dynamodb, HouseRules()).rehearse(by_day, LockBattery(), at=night)
    assert forecast.starts_at == night
    (put_off,) = forecast.put_off
    assert put_off.reason is HoldReason.WINDOW
    assert put_off.messages == forecast.targeted - forecast.not_sent["no_address"]
    assert put_off.until_first is not None
    assert put_off.until_first >= datetime(2026, 3, 3, 9, tzinfo=UTC)
    assert forecast.first_send is not None
    assert forecast.first_send > night
    assert any(each.startswith("The audience is as it was read on ") for each in forecast.assumed)


def test_launching_with_care_is_in_it(engine: Engine, dynamodb: DynamoDbServer, world: World) -> None:
    launch = Launch(canary_percent=10, canary_watch_seconds=1800, undo_seconds=600, approval_above=3)
    rules = HouseRules(quiet_hours=None, launch=launch)
    forecast = rehearser(engine, dynamodb, rules).rehearse(CAMPAIGN, LockBattery(), at=MORNING)
    assert forecast.launch.undo_until == forecast.first_send == MORNING + timedelta(minutes=10)
    assert forecast.launch.canary == pytest.approx(forecast.targeted / 10, abs=1)
    assert forecast.launch.canary_settled_at is not None
    assert forecast.launch.others_go_at == forecast.launch.canary_settled_at + timedelta(minutes=30)
    assert "Somebody approves the run at once." in forecast.assumed
    assert sum(forecast.ends.values()) == forecast.targeted
