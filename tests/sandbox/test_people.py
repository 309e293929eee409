from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, inspect, select, text

from db.engine import create_database_engine
from db.tables import Device
from domain.last_check import Standing, is_stale, read_last_check
from sandbox.fcm import Fault
from sandbox.people import Behaviour, NotInventedError, Phone, World, invent_world, seed_devices, seed_mapping

NOW = datetime(2026, 11, 16, 9, tzinfo=UTC)
MONTH = timedelta(days=30)
SEEDS = st.integers(0, 2**32)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_database_engine(database_url, pool_size=1)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def world() -> World:
    return invent_world(locks=300, seed=7, as_of=NOW)


def test_a_seed_makes_one_world_and_another_seed_another() -> None:
    assert invent_world(50, 1, NOW) == invent_world(50, 1, NOW)
    assert invent_world(50, 1, NOW) != invent_world(50, 2, NOW)


def test_a_world_holds_every_kind_of_lock_phone_and_device(world: World) -> None:
    expected = world.expected
    assert set(expected.phones) == set(Phone)
    assert set(expected.behaviours) == set(Behaviour)
    assert min(expected.fresh, expected.unmapped, expected.never_checked, expected.unreadable) > 0
    assert {len(owners) for owners in world.owners.values()} == {1, 2}
    assert max(Counter(person.id for owners in world.owners.values() for person in owners).values()) > 2
    values = {type(lock.last_check).__name__ for lock in world.locks if not lock.stale}
    assert values == {"str", "Decimal"}


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 60))
def test_what_a_world_expects_is_what_its_values_say_days_later_too(seed: int, locks: int) -> None:
    world = invent_world(locks, seed, NOW)
    checks = [read_last_check(lock.last_check) for lock in world.locks]
    standings = Counter(check.standing for check in checks)
    assert standings[Standing.UNREADABLE] == world.expected.unreadable
    assert standings[Standing.NEVER_CHECKED] == world.expected.never_checked
    for as_of in (NOW, NOW + timedelta(days=4)):
        assert [is_stale(check, as_of, MONTH) for check in checks] == [lock.stale for lock in world.locks]


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 60))
def test_the_figures_that_a_world_expects_add_up(seed: int, locks: int) -> None:
    world = invent_world(locks, seed, NOW)
    expected = world.expected
    assert expected.fresh + expected.unmapped + expected.stale_mapped == locks
    assert sum(expected.phones.values()) == expected.targeted
    assert sum(expected.behaviours.values()) <= len(world.devices)
    stale = {lock.id for lock in world.locks if lock.stale}
    assert len({row.user_id for row in world.mappings if row.lock_id in stale}) == expected.targeted


def test_a_replaced_phone_has_its_dead_token_first_also_when_tokens_are_sorted(world: World) -> None:
    replaced = [person for person in world.people if person.phone is Phone.REPLACED]
    assert replaced
    for person in replaced:
        dead, live = person.tokens
        assert [dead.rpartition(":")[2], live.rpartition(":")[2]] == [Fault.DEAD, "ok"]
        assert sorted(person.tokens) == list(person.tokens)


def test_a_device_belongs_to_one_of_the_people_and_never_has_a_dead_token(world: World) -> None:
    people = {person.id for person in world.people}
    assert {device.owner_id for device in world.devices} <= people
    assert not any(device.fcm_token and device.fcm_token.endswith(Fault.DEAD) for device in world.devices)
    assert len({device.mqtt_client_id for device in world.devices}) == len(world.devices)


def test_the_mapping_holds_the_worlds_rows_also_when_it_is_made_anew(world: World, engine: Engine) -> None:
    seed_mapping(invent_world(10, 1, NOW), engine)
    seed_mapping(world, engine)
    with engine.connect() as connection:
        rows = connection.execute(text("select lock_id, user_id, fcm_id from public.lock_user_mapping")).all()
    assert Counter(map(tuple, rows)) == Counter((row.lock_id, row.user_id, row.fcm_id) for row in world.mappings)


def test_a_mapping_that_the_sandbox_has_not_made_is_left_alone(world: World, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table public.lock_user_mapping (lock_id text)"))
    with pytest.raises(NotInventedError, match="a database of its own"):
        seed_mapping(world, engine)
    assert [column["name"] for column in inspect(engine).get_columns("lock_user_mapping", "public")] == ["lock_id"]


def test_the_devices_are_registered_with_their_owners_once(world: World, engine: Engine) -> None:
    for _ in range(2):
        seed_devices(world, engine)
    with engine.connect() as connection:
        rows = connection.execute(select(Device.id, Device.owner_id, Device.fcm_token, Device.mqtt_client_id)).all()
    assert Counter(map(tuple, rows)) == Counter(
        (device.id, device.owner_id, device.fcm_token, device.mqtt_client_id) for device in world.devices
    )


def test_a_world_without_people_can_be_put_in_place(engine: Engine) -> None:
    empty = invent_world(0, 1, NOW)
    seed_mapping(empty, engine)
    seed_devices(empty, engine)
    assert empty.expected.targeted == 0
