from __future__ import annotations  # the stubs' names exist for mypy alone

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from campaigns.lock_battery import CAMPAIGN, LockBattery
from domain.last_check import Standing
from domain.message import Scan
from sandbox.dynamodb import put_locks
from sandbox.people import World
from sources.locks import Locks
from sources.locks_table import _id_as_text, _key_as_text, _key_from_text
from tests.sources.lock_rows import (
    FIELD,
    MONTH,
    NOW,
    SCAN,
    SMALL_PAGE,
    added_up,
    create_table,
    map_locks,
    rows_of,
    stale_rows,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def test_every_stale_lock_comes_with_each_owner_and_token_and_the_rest_is_counted(
    world: World, open_locks: Callable[..., Locks]
) -> None:
    pages = list(open_locks().stale(MONTH, SCAN))
    expected = world.expected
    assert rows_of(pages) == stale_rows(world)
    assert added_up([page.left_out for page in pages]) == {"fresh": expected.fresh, "unmapped": expected.unmapped}
    assert added_up([page.noted for page in pages]) == {
        "never_checked": expected.never_checked,
        "unreadable": expected.unreadable,
        "without_token": expected.without_token,
    }
    assert min(expected.fresh, expected.unmapped, expected.unreadable, expected.without_token) > 0


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("segments", [1, 3, 7])
def test_the_same_rows_come_in_any_number_of_segments(
    world: World, open_locks: Callable[..., Locks], segments: int
) -> None:
    pages = list(open_locks(segments=segments).stale(MONTH, SCAN))
    assert len(pages) >= len(world.locks) // SMALL_PAGE
    assert rows_of(pages) == stale_rows(world)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("pages_stored", [1, 5, 11])
def test_a_retry_goes_on_after_the_pages_that_were_stored(
    world: World, open_locks: Callable[..., Locks], pages_stored: int
) -> None:
    first_try = open_locks().stale(MONTH, SCAN)
    stored = [next(first_try) for _ in range(pages_stored)]
    bookmarks = dict(page.bookmark for page in stored if page.bookmark)
    rest = [
        list(open_locks(segments=segments).stale(MONTH, Scan(as_of=NOW, bookmarks=bookmarks))) for segments in (4, 9)
    ]
    for pages in rest:
        assert rows_of(stored + pages) == stale_rows(world)
        assert added_up([page.left_out for page in stored + pages])["fresh"] == world.expected.fresh


def test_a_retry_of_a_finished_walk_reads_nothing(world: World, open_locks: Callable[..., Locks]) -> None:
    pages = open_locks().stale(MONTH, SCAN)
    bookmarks = dict(page.bookmark for page in pages if page.bookmark)
    assert set(bookmarks.values()) == {""}
    assert list(open_locks().stale(MONTH, Scan(as_of=NOW, bookmarks=bookmarks))) == []


def test_the_campaign_targets_each_person_with_a_stale_lock(world: World, open_locks: Callable[..., Locks]) -> None:
    pages = list(CAMPAIGN.audience(LockBattery(), open_locks(), SCAN))
    people = {recipient.id for page in pages for recipient in page.recipients}
    assert people == {person.id for person in world.targeted}
    assert len(people) == world.expected.targeted


def test_a_lock_carries_its_last_check_and_how_it_stands(
    client: DynamoDBClient, table: str, engine: Engine, open_locks: Callable[..., Locks]
) -> None:
    checked = NOW - timedelta(days=31)
    values = {"old": Decimal(int(checked.timestamp())), "unreadable": {"at": 1}, "empty": ""}
    put_locks(client, table, [{"lock_id": lock_id, FIELD: value} for lock_id, value in values.items()])
    put_locks(client, table, [{"lock_id": "absent"}, {"lock_id": "null", FIELD: None}])
    client.put_item(TableName=table, Item={"lock_id": {"S": "set"}, FIELD: {"SS": ["2026-01-01"]}})
    client.put_item(TableName=table, Item={"lock_id": {"S": "binary"}, FIELD: {"B": b"2026-01-01"}})
    map_locks(engine, "old", "unreadable", "empty", "absent", "null", "set", "binary")
    found = {
        lock.lock_id: (lock.last_check.at, lock.last_check.standing)
        for page in open_locks().stale(MONTH, SCAN)
        for lock in page.locks
    }
    assert found == {
        "old": (checked, Standing.CHECKED),
        "unreadable": (None, Standing.UNREADABLE),
        "set": (None, Standing.UNREADABLE),
        "binary": (None, Standing.UNREADABLE),
        "empty": (None, Standing.NEVER_CHECKED),
        "absent": (None, Standing.NEVER_CHECKED),
        "null": (None, Standing.NEVER_CHECKED),
    }


def test_a_table_without_the_field_has_locks_that_were_never_checked(
    world: World, open_locks: Callable[..., Locks]
) -> None:
    pages = list(open_locks(last_check_field="another").stale(MONTH, SCAN))
    assert added_up([page.noted for page in pages])["never_checked"] == len(world.locks)
    assert added_up([page.left_out for page in pages])["fresh"] == 0


def test_stale_counts_from_the_start_of_the_run_and_the_limit_itself_is_fresh(
    client: DynamoDBClient, table: str, engine: Engine, open_locks: Callable[..., Locks]
) -> None:
    at_the_limit = {"lock_id": "limit", FIELD: (NOW - MONTH).isoformat()}
    put_locks(client, table, [at_the_limit])
    map_locks(engine, "limit")
    (rows, later) = (
        [lock.lock_id for page in open_locks().stale(MONTH, Scan(as_of=as_of)) for lock in page.locks]
        for as_of in (NOW, NOW + timedelta(seconds=1))
    )
    assert (rows, later) == ([], ["limit"])


@pytest.mark.parametrize("field", ["last-check", "size", "battery.checked at", "проверка", "#last_check", ":v"])
def test_the_last_check_may_stand_in_an_attribute_of_any_name(
    client: DynamoDBClient, table: str, engine: Engine, open_locks: Callable[..., Locks], field: str
) -> None:
    put_locks(client, table, [{"lock_id": "fresh", field: NOW.isoformat()}, {"lock_id": "old", field: 1_700_000_000}])
    map_locks(engine, "fresh", "old")
    pages = list(open_locks(last_check_field=field).stale(MONTH, SCAN))
    assert rows_of(pages) == [("old", "owner", "token")]
    assert added_up([page.noted for page in pages]) == {}


@pytest.mark.usefixtures("small_pages")
def test_lock_ids_that_are_numbers_become_text_and_a_retry_goes_on_after_them(
    client: DynamoDBClient, engine: Engine, open_locks: Callable[..., Locks]
) -> None:
    name = f"locks-{uuid4().hex}"
    create_table(client, name, "N")
    numbers = [str(number) for number in range(1, 61)]
    put_locks(client, name, [{"lock_id": int(number)} for number in numbers])
    map_locks(engine, *numbers)
    locks = open_locks(table_name=name, segments=1)
    first = next(locks.stale(MONTH, SCAN))
    assert first.bookmark
    rest = list(locks.stale(MONTH, Scan(as_of=NOW, bookmarks=dict([first.bookmark]))))
    assert len(rest) == 2
    assert [lock_id for lock_id, _, _ in rows_of([first, *rest])] == sorted(numbers)


def test_a_key_of_bytes_survives_its_bookmark() -> None:
    # By itself, since moto cannot page through a table with such a key.
    key: dict[str, dict[str, Any]] = {"lock_id": {"B": b"\0\xff"}, "door": {"N": "7"}}
    assert _key_from_text(_key_as_text(key)) == key
    assert _id_as_text(key["lock_id"]) == "\0\ufffd"
