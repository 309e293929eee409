from __future__ import annotations  # the stubs' names exist for mypy alone

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from sandbox.dynamodb import DynamoDbServer
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
from tests.sources.lock_rows import KEY, MONTH, SCAN, create_table, rows_of, stale_rows
from tests.sources.refusals import Refused

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.mark.parametrize(
    "refusal", [("ProvisionedThroughputExceededException", 400), ("ThrottlingException", 400), ("Unavailable", 503)]
)
def test_calls_that_were_put_off_are_made_again_until_all_is_read(
    world: World,
    our_client: Callable[[], DynamoDBClient],
    open_locks: Callable[..., Locks],
    refusal: tuple[str, int],
) -> None:
    throttled = Refused(*refusal, refuses=lambda call: call % 4 != 0)
    locks = open_locks(connect=lambda: throttled.on(our_client()))
    assert rows_of(list(locks.stale(MONTH, SCAN))) == stale_rows(world)
    assert throttled.calls == 16


def test_throttling_that_does_not_end_is_an_error_with_its_remedy(
    our_client: Callable[[], DynamoDBClient], table: str, open_locks: Callable[..., Locks]
) -> None:
    throttled = Refused("ProvisionedThroughputExceededException", 400, refuses=lambda _: True)
    patience = timedelta(seconds=0.15)
    locks = open_locks(connect=lambda: throttled.on(our_client()), patience=patience, segments=2)
    with pytest.raises(DynamoDbBusyError, match=rf"{table}.* more than 0\.15 s .*ProvisionedThroughput.*read capacity"):
        list(locks.stale(MONTH, SCAN))


@pytest.mark.usefixtures("small_pages", "world")
def test_a_reader_that_stops_early_is_not_kept_by_a_segment_that_is_throttled(
    our_client: Callable[[], DynamoDBClient], open_locks: Callable[..., Locks]
) -> None:
    throttled = Refused("ThrottlingException", 400, refuses=lambda call: call > 1)
    pages = open_locks(connect=lambda: throttled.on(our_client())).stale(MONTH, SCAN)
    assert next(pages).bookmark
    calls = throttled.calls
    pages.close()
    assert throttled.calls - calls < 40  # without patience for the other segments, which would take some hundred
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("segment")] == []


def test_a_missing_table_names_its_setting(open_locks: Callable[..., Locks], server: DynamoDbServer) -> None:
    with pytest.raises(LocksTableMissingError) as raised:
        list(open_locks(table_name="no-such-table").stale(MONTH, SCAN))
    for named in ("'no-such-table'", "LOCKS_TABLE", server.url, "eu-west-1"):
        assert named in str(raised.value)


@pytest.mark.parametrize(("key", "named"), [(("door",), "door"), ((KEY, "door"), "lock_id and door")])
def test_a_table_with_another_key_is_refused_before_it_is_read(
    client: DynamoDBClient, open_locks: Callable[..., Locks], key: tuple[str, ...], named: str
) -> None:
    name = f"doors-{uuid4().hex}"
    create_table(client, name, "S", *key)
    with pytest.raises(LocksTableUnfitError, match=rf"is {named}, not lock_id alone: set LOCKS_TABLE"):
        next(open_locks(table_name=name).stale(MONTH, SCAN))


def test_a_table_with_another_key_that_we_may_not_describe_is_refused_at_its_first_item(
    client: DynamoDBClient, our_client: Callable[[], DynamoDBClient], open_locks: Callable[..., Locks]
) -> None:
    name = f"doors-{uuid4().hex}"
    create_table(client, name, "S", "door")
    client.put_item(TableName=name, Item={"door": {"S": "front"}})
    denied = Refused("AccessDeniedException", 400, refuses=lambda _: True, operation="DescribeTable")
    with pytest.raises(LocksTableUnfitError, match="is another one, not lock_id alone: set LOCKS_TABLE"):
        list(open_locks(connect=lambda: denied.on(our_client()), table_name=name).stale(MONTH, SCAN))


def test_an_endpoint_where_nobody_listens_is_named_with_the_remedy(
    server: DynamoDbServer, open_locks: Callable[..., Locks], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    endpoint = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(DynamoDbUnreachableError) as raised:
        list(open_locks(connect=partial(dynamodb_client, "eu-north-1", endpoint)).stale(MONTH, SCAN))
    for named in ("DynamoDB", endpoint, "eu-north-1", "AWS credentials", "AWS_ENDPOINT_URL_DYNAMODB"):
        assert named in str(raised.value)


@pytest.mark.parametrize(("region", "endpoint"), [(None, "http://127.0.0.1:1"), ("eu-west-1", "no url")])
def test_a_missing_region_or_a_bad_endpoint_is_named_with_the_remedy(
    open_locks: Callable[..., Locks], monkeypatch: pytest.MonkeyPatch, region: str | None, endpoint: str
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(DynamoDbUnreachableError, match="AWS credentials and region, and AWS_ENDPOINT_URL_DYNAMODB"):
        list(open_locks(connect=partial(dynamodb_client, region, endpoint)).stale(MONTH, SCAN))


@pytest.mark.usefixtures("small_pages", "world")
def test_a_table_that_vanishes_in_mid_scan_is_missing_and_no_short_audience(
    client: DynamoDBClient, table: str, open_locks: Callable[..., Locks]
) -> None:
    pages = open_locks(segments=1).stale(MONTH, SCAN)
    assert next(pages).bookmark
    client.delete_table(TableName=table)
    with pytest.raises(LocksTableMissingError, match=f"no table '{table}'.*LOCKS_TABLE"):
        list(pages)
