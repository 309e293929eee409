"""Locks read again by their ids."""

from __future__ import annotations  # the stubs' names exist for mypy alone

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import pytest

from domain.last_check import NEVER_CHECKED, UNREADABLE, LastCheck, Standing
from sandbox.dynamodb import put_locks
from sandbox.people import World
from sandbox.ports import free_port
from sources.dynamodb import (
    DynamoDbBusyError,
    DynamoDbUnreachableError,
    LocksTableMissingError,
    LocksTableUnfitError,
    dynamodb_client,
)
from sources.locks import Locks
from sources.locks_table import _keys
from tests.sources.lock_rows import FIELD, KEY, MONTH, NOW, SCAN, create_table
from tests.sources.refusals import PartlyRead, Refused

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CHECKED = LastCheck(Standing.CHECKED, NOW)
CANNOT_BE_TEXT_KEYS = ["", "x" * 2049, "é" * 1025, "\ud800"]
CANNOT_BE_NUMBERS = ["", "seven", "1_0", "٣", " 3", "NaN", "Infinity", "1E+126", "1E-131", "9" * 39, "\ud800"]


@pytest.fixture
def numbered(client: DynamoDBClient, table: str) -> list[str]:
    """250 locks in the table."""
    lock_ids = [f"lock-{number:03}" for number in range(250)]
    put_locks(client, table, [{KEY: lock_id, FIELD: NOW.isoformat()} for lock_id in lock_ids])
    return lock_ids


def test_each_lock_stands_as_the_walk_saw_it_and_one_that_was_checked_since_shows_it(
    world: World, client: DynamoDBClient, table: str, open_locks: Callable[..., Locks]
) -> None:
    locks = open_locks()
    seen = {lock.lock_id: lock.last_check for page in locks.stale(MONTH, SCAN) for lock in page.locks}
    assert locks.last_checks(seen.keys()) == seen
    (checked, *_) = seen
    put_locks(client, table, [{KEY: checked, FIELD: NOW.isoformat()}])
    assert locks.last_checks(seen.keys()) == {**seen, checked: CHECKED}


def test_a_value_of_any_type_is_read_and_none_is_fatal(
    client: DynamoDBClient, table: str, open_locks: Callable[..., Locks]
) -> None:
    values: dict[str, Any] = {
        "iso": {"S": NOW.isoformat()},
        "seconds": {"N": str(int(NOW.timestamp()))},
        "milliseconds": {"N": str(int(NOW.timestamp()) * 1000)},
        "digits": {"S": str(int(NOW.timestamp()))},
        "empty": {"S": ""},
        "null": {"NULL": True},
        "words": {"S": "last week"},
        "boolean": {"BOOL": True},
        "map": {"M": {"at": {"S": "2026-01-01"}}},
        "list": {"L": [{"N": "1"}]},
        "set": {"SS": ["2026-01-01"]},
        "binary": {"B": b"2026-01-01"},
        "negative": {"N": "-1"},
    }
    for lock_id, value in values.items():
        client.put_item(TableName=table, Item={KEY: {"S": lock_id}, FIELD: value})
    client.put_item(TableName=table, Item={KEY: {"S": "absent"}})
    checked = dict.fromkeys(("iso", "seconds", "milliseconds", "digits"), CHECKED)
    never = dict.fromkeys(("empty", "null", "absent"), NEVER_CHECKED)
    unreadable = dict.fromkeys(values.keys() - checked.keys() - never.keys(), UNREADABLE)
    assert open_locks().last_checks([*values, "absent"]) == {**checked, **never, **unreadable}


def test_a_lock_that_is_gone_is_not_in_the_answer(
    client: DynamoDBClient, table: str, open_locks: Callable[..., Locks]
) -> None:
    put_locks(client, table, [{KEY: lock_id, FIELD: NOW.isoformat()} for lock_id in ("here", "zero\0byte")])
    asked = ["here", "gone", "HERE", "zero\0byte", *CANNOT_BE_TEXT_KEYS]
    assert open_locks().last_checks(asked) == {"here": CHECKED, "zero\0byte": CHECKED}
    assert open_locks().last_checks(CANNOT_BE_TEXT_KEYS) == {}


def test_ids_are_asked_for_once_by_the_hundred_with_no_more_than_is_needed(
    numbered: list[str], our_client: Callable[[], DynamoDBClient], table: str, open_locks: Callable[..., Locks]
) -> None:
    calls: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []

    def watched() -> DynamoDBClient:
        client = our_client()
        client.meta.events.register(
            "provide-client-params.dynamodb.BatchGetItem", lambda params, **_: calls.append(params)
        )
        client.meta.events.register("after-call.dynamodb.BatchGetItem", lambda parsed, **_: answers.append(parsed))
        return client

    assert open_locks(connect=watched).last_checks(numbered * 3) == dict.fromkeys(numbered, CHECKED)
    requests = [call["RequestItems"][table] for call in calls]
    assert [len(request["Keys"]) for request in requests] == [100, 100, 50]
    assert not any(request.get("ConsistentRead") for request in requests)
    assert {name for answer in answers for item in answer["Responses"][table] for name in item} == {KEY, FIELD}


def test_no_ids_need_no_call(table: str, open_locks: Callable[..., Locks]) -> None:
    assert open_locks(table_name="no-such-table").last_checks([]) == {}


def test_ids_that_are_numbers_are_found_by_their_text_alone(
    client: DynamoDBClient, open_locks: Callable[..., Locks]
) -> None:
    name = f"locks-{uuid4().hex}"
    create_table(client, name, "N")
    for number in ("7", "-7.5", "12345678901234567890123456789012345678"):
        client.put_item(TableName=name, Item={KEY: {"N": number}, FIELD: {"S": NOW.isoformat()}})
    asked = ["7", "07", "7.0", "-7.5", "8", "12345678901234567890123456789012345678", *CANNOT_BE_NUMBERS]
    found = open_locks(table_name=name).last_checks(asked)
    assert found == dict.fromkeys(["7", "-7.5", "12345678901234567890123456789012345678"], CHECKED)
    assert open_locks(table_name=name).last_checks(["07"]) == {}


def test_ids_that_are_bytes_are_found_by_their_text(client: DynamoDBClient, open_locks: Callable[..., Locks]) -> None:
    name = f"locks-{uuid4().hex}"
    create_table(client, name, "B")
    client.put_item(TableName=name, Item={KEY: {"B": "lock é".encode()}, FIELD: {"S": NOW.isoformat()}})
    client.put_item(TableName=name, Item={KEY: {"B": b"\xff"}, FIELD: {"S": NOW.isoformat()}})
    asked = ["lock é", "another", "\ufffd", *CANNOT_BE_TEXT_KEYS]
    assert open_locks(table_name=name).last_checks(asked) == {"lock é": CHECKED}


@pytest.mark.parametrize(("key", "named"), [(("door",), "door"), ((KEY, "door"), "lock_id and door")])
def test_a_table_with_another_key_is_named_with_the_remedy(
    client: DynamoDBClient, open_locks: Callable[..., Locks], key: tuple[str, ...], named: str
) -> None:
    name = f"doors-{uuid4().hex}"
    create_table(client, name, "S", *key)
    with pytest.raises(LocksTableUnfitError, match=rf"{name}.* is {named}, not lock_id alone: set LOCKS_TABLE"):
        open_locks(table_name=name).last_checks(["a"])


def test_a_missing_table_names_its_setting(open_locks: Callable[..., Locks]) -> None:
    with pytest.raises(LocksTableMissingError, match="no table 'no-such-table': set LOCKS_TABLE"):
        open_locks(table_name="no-such-table").last_checks(["a"])


def test_a_table_that_vanishes_in_the_middle_is_missing(
    numbered: list[str],
    client: DynamoDBClient,
    our_client: Callable[[], DynamoDBClient],
    table: str,
    open_locks: Callable[..., Locks],
) -> None:
    def lose_the_table(**_: object) -> None:
        client.delete_table(TableName=table)

    def losing_its_table() -> DynamoDBClient:
        ours = our_client()
        ours.meta.events.register("after-call.dynamodb.BatchGetItem", lose_the_table)
        return ours

    with pytest.raises(LocksTableMissingError, match=table):
        open_locks(connect=losing_its_table).last_checks(numbered)


@pytest.mark.parametrize("operation", ["BatchGetItem", "DescribeTable"])
@pytest.mark.parametrize("refusal", [("ThrottlingException", 400), ("InternalServerError", 500)])
def test_calls_that_are_put_off_are_made_again(
    numbered: list[str],
    our_client: Callable[[], DynamoDBClient],
    open_locks: Callable[..., Locks],
    operation: str,
    refusal: tuple[str, int],
) -> None:
    throttled = Refused(*refusal, refuses=lambda call: call % 4 != 0, operation=operation)
    locks = open_locks(connect=lambda: throttled.on(our_client()))
    assert locks.last_checks(numbered) == dict.fromkeys(numbered, CHECKED)
    assert throttled.calls == 4 * (3 if operation == "BatchGetItem" else 1)


def test_keys_left_unread_are_asked_for_again(
    numbered: list[str], our_client: Callable[[], DynamoDBClient], table: str, open_locks: Callable[..., Locks]
) -> None:
    partly = PartlyRead(table, reads=40)
    locks = open_locks(connect=lambda: partly.on(our_client()))
    assert locks.last_checks(numbered) == dict.fromkeys(numbered, CHECKED)
    assert partly.calls == 3 + 3 + 2


def test_throttling_that_does_not_end_is_an_error_with_its_remedy(
    numbered: list[str], our_client: Callable[[], DynamoDBClient], open_locks: Callable[..., Locks]
) -> None:
    throttled = Refused("ProvisionedThroughputExceededException", 400, refuses=lambda _: True, operation="BatchGetItem")
    locks = open_locks(connect=lambda: throttled.on(our_client()), patience=timedelta(seconds=0.15))
    with pytest.raises(DynamoDbBusyError, match=r"more than 0\.15 s .*ProvisionedThroughput.*read capacity"):
        locks.last_checks(numbered)


def test_keys_that_are_never_read_are_an_error_with_its_remedy(
    numbered: list[str], our_client: Callable[[], DynamoDBClient], table: str, open_locks: Callable[..., Locks]
) -> None:
    never = PartlyRead(table, reads=0)
    locks = open_locks(connect=lambda: never.on(our_client()), patience=timedelta(seconds=0.15))
    with pytest.raises(DynamoDbBusyError, match=r"more than 0\.15 s \(UnprocessedKeys\).*read capacity"):
        locks.last_checks(numbered)


def test_where_describing_is_denied_the_ids_are_taken_for_text(
    numbered: list[str], our_client: Callable[[], DynamoDBClient], open_locks: Callable[..., Locks]
) -> None:
    denied = Refused("AccessDeniedException", 400, refuses=lambda _: True, operation="DescribeTable")
    locks = open_locks(connect=lambda: denied.on(our_client()))
    assert locks.last_checks(numbered) == dict.fromkeys(numbered, CHECKED)


def test_where_describing_is_denied_and_the_key_is_no_text_the_error_names_the_right_that_is_missing(
    our_client: Callable[[], DynamoDBClient], open_locks: Callable[..., Locks]
) -> None:
    denied = Refused("AccessDeniedException", 400, refuses=lambda _: True, operation="DescribeTable")
    mismatch = Refused("ValidationException", 400, refuses=lambda _: True, operation="BatchGetItem")
    locks = open_locks(connect=lambda: mismatch.on(denied.on(our_client())))
    with pytest.raises(LocksTableUnfitError, match=r"another one .*allow dynamodb:DescribeTable"):
        locks.last_checks(["7"])


def test_an_endpoint_where_nobody_listens_is_named_with_the_remedy(
    our_client: Callable[[], DynamoDBClient], open_locks: Callable[..., Locks]
) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    locks = open_locks(connect=partial(dynamodb_client, "eu-north-1", endpoint))
    with pytest.raises(DynamoDbUnreachableError, match=rf"{endpoint}.*AWS credentials.*AWS_ENDPOINT_URL_DYNAMODB"):
        locks.last_checks(["a"])


@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_no_id_makes_dynamodb_refuse_the_whole_call(
    client: DynamoDBClient, open_locks: Callable[..., Locks], kind: Literal["S", "N", "B"]
) -> None:
    name = f"locks-{uuid4().hex}"
    create_table(client, name, kind)
    hostile = [*CANNOT_BE_TEXT_KEYS, *CANNOT_BE_NUMBERS, "1", "01", "1.0", "1E+0", "-0", "0", "x" * 2048]
    assert open_locks(table_name=name).last_checks(hostile) == {}


def test_a_number_written_in_two_ways_is_one_key() -> None:
    # By itself, since moto overlooks it; DynamoDB would refuse the call.
    keys = _keys(["10", "010", "10.0", "1E+1", "0", "-0", "x"], "N")
    assert keys == [{KEY: {"N": "10"}}, {KEY: {"N": "0"}}]
