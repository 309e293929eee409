"""A dry run on the invented world: real DynamoDB calls, real PostgreSQL, and nothing left of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine, func, select

from activities.audience import SourceOffError
from activities.dry_run import SAMPLES, DryRun, DryRunner
from activities.opening import NoChannelError
from campaigns.lock_battery import CAMPAIGN, LockBattery
from channels.interface import Channel
from db.engine import transaction
from db.tables import Base, Suppression
from domain.hashing import AddressHasher
from domain.house_rules import NO_HOUSE_RULES
from domain.message import AudiencePage, Scan
from sandbox.dynamodb import DynamoDbServer
from sandbox.people import World
from sources.locks import Locks
from tests.activities.conftest import FIELD, TABLE
from tests.fakes import FakeChannel

HASHER = AddressHasher(b"a key for tests, and for tests only")


def never_prepared() -> None:
    raise AssertionError("a dry run opens no channel")


def a_channel(name: str) -> FakeChannel:
    return FakeChannel(name, prepared=never_prepared)


def runner(engine: Engine, dynamodb: DynamoDbServer, *channels: Channel) -> DryRunner:
    locks = Locks(dynamodb.client, TABLE, FIELD, engine)
    return DryRunner(engine, {channel.name: channel for channel in channels}, {"locks": locks}, HASHER, NO_HOUSE_RULES)


@pytest.fixture(scope="module")
def channels() -> tuple[FakeChannel, FakeChannel]:
    return a_channel("fcm"), a_channel("mqtt")


@pytest.fixture(scope="module")
def rows_before(engine: Engine) -> dict[str, int]:
    return rows(engine)


@pytest.fixture(scope="module")
def prediction(
    engine: Engine,
    dynamodb: DynamoDbServer,
    channels: tuple[FakeChannel, FakeChannel],
    rows_before: dict[str, int],
) -> DryRun:
    return runner(engine, dynamodb, *channels).predict(CAMPAIGN, LockBattery())


def rows(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }


def by_first_way(world: World) -> Counter[str]:
    """The targeted, by what can reach them at all."""
    return Counter("fcm" if person.tokens else "mqtt" if person.device else "no_address" for person in world.targeted)


def test_everybody_is_targeted_whom_the_world_expects(prediction: DryRun, world: World) -> None:
    assert prediction.targeted == world.expected.targeted
    assert prediction.left_out == {"fresh": world.expected.fresh, "unmapped": world.expected.unmapped}
    assert prediction.noted == {
        "unreadable": world.expected.unreadable,
        "never_checked": world.expected.never_checked,
        "without_token": world.expected.without_token,
    }


def test_everybody_is_counted_once_by_the_first_way_that_there_is(prediction: DryRun, world: World) -> None:
    ways = by_first_way(world)
    assert min(ways["fcm"], ways["mqtt"], ways["no_address"]) > 0
    assert prediction.by_channel == {"fcm": ways["fcm"], "mqtt": ways["mqtt"]}
    assert prediction.not_sent == {"no_address": ways["no_address"]}
    assert not prediction.deferred
    assert prediction.targeted == prediction.by_channel.total() + prediction.not_sent.total()


def test_twenty_samples_show_the_text_and_no_whole_address(prediction: DryRun, world: World) -> None:
    tokens = {token for person in world.people for token in person.tokens}
    clients = {device.mqtt_client_id for device in world.devices}
    assert len(prediction.samples) == SAMPLES
    assert len({sample.recipient_id for sample in prediction.samples}) == SAMPLES
    for sample in prediction.samples:
        assert "lock-" in sample.body
        assert "attery" in sample.title or "atteries" in sample.title
        assert not any(address in f"{sample.address} {sample.title} {sample.body}" for address in tokens | clients)
        assert bool(sample.address) == (sample.decision in {"fcm", "mqtt"})
        assert len(sample.address) <= 5


def test_nothing_is_stored(prediction: DryRun, engine: Engine, world: World, rows_before: dict[str, int]) -> None:
    assert rows(engine) == rows_before
    assert {name: count for name, count in rows_before.items() if count} == {"drumbeat.devices": len(world.devices)}


def test_nothing_is_sent(prediction: DryRun, channels: tuple[FakeChannel, FakeChannel]) -> None:
    assert prediction.by_channel
    assert [channel.calls for channel in channels] == [[], []]


def test_while_mqtt_is_off_only_fcm_would_send(engine: Engine, dynamodb: DynamoDbServer, world: World) -> None:
    ways = by_first_way(world)
    prediction = runner(engine, dynamodb, a_channel("fcm")).predict(CAMPAIGN, LockBattery())
    assert prediction.by_channel == {"fcm": ways["fcm"]}
    assert prediction.not_sent == {"no_address": ways["no_address"] + ways["mqtt"]}
    assert prediction.off == ["mqtt"]


def test_a_campaign_without_any_channel_that_is_on_is_refused(
    engine: Engine, dynamodb: DynamoDbServer, world: World
) -> None:
    with pytest.raises(NoChannelError, match="fcm, mqtt"):
        runner(engine, dynamodb).predict(CAMPAIGN, LockBattery())


def test_an_address_that_is_suppressed_is_left_alone(engine: Engine, dynamodb: DynamoDbServer, world: World) -> None:
    person = next(person for person in world.targeted if len(person.tokens) == 1 and not person.device)
    row = {"channel": "fcm", "address_hash": HASHER("fcm", person.tokens[0])}
    with transaction(engine) as session:
        session.add(Suppression(**row, reason="unregistered"))
    try:
        prediction = runner(engine, dynamodb, a_channel("fcm"), a_channel("mqtt")).predict(CAMPAIGN, LockBattery())
    finally:
        with transaction(engine) as session:
            session.delete(session.get_one(Suppression, tuple(row.values())))
    assert prediction.by_channel["fcm"] == by_first_way(world)["fcm"] - 1


def test_its_parameters_are_the_campaigns_own(engine: Engine, dynamodb: DynamoDbServer, world: World) -> None:
    ten_years = LockBattery(stale_after_days=3650)
    prediction = runner(engine, dynamodb, a_channel("fcm"), a_channel("mqtt")).predict(CAMPAIGN, ten_years)
    old = sum(lock.age == "old" for lock in world.locks)
    assert prediction.left_out["fresh"] == world.expected.fresh + old
    assert 0 < prediction.targeted < world.expected.targeted


def test_a_source_that_fails_leaves_nothing_behind(
    engine: Engine, dynamodb: DynamoDbServer, rows_before: dict[str, int]
) -> None:
    class BrokenOffError(Exception):
        pass

    locks = Locks(dynamodb.client, TABLE, FIELD, engine)

    def break_off(parameters: LockBattery, source: Locks, scan: Scan) -> Iterator[AudiencePage]:
        yield from CAMPAIGN.audience(parameters, source, scan)
        raise BrokenOffError

    campaign = replace(CAMPAIGN, audience=break_off)
    with pytest.raises(BrokenOffError):
        DryRunner(engine, {"fcm": a_channel("fcm")}, {"locks": locks}, HASHER, NO_HOUSE_RULES).predict(
            campaign, LockBattery()
        )
    assert rows(engine) == rows_before


def test_a_source_that_is_off_is_named(engine: Engine) -> None:
    runner = DryRunner(engine, {"fcm": a_channel("fcm")}, {}, HASHER, NO_HOUSE_RULES)
    with pytest.raises(SourceOffError, match="source 'locks' is off: see its settings"):
        runner.predict(CAMPAIGN, LockBattery())
