from __future__ import annotations  # the stubs' names exist for mypy alone

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import pytest
from botocore.awsrequest import AWSResponse, HTTPHeaders
from sqlalchemy import Engine, text

from campaigns.lock_battery import CAMPAIGN, LockBattery
from db.engine import create_database_engine
from domain.last_check import Standing
from domain.message import Scan
from sandbox.dynamodb import DynamoDbServer, create_locks_table, put_locks
from sandbox.people import World, invent_world, seed_dynamodb, seed_mapping
from sandbox.ports import free_port
from sources import locks as locks_source
from sources.locks import (
    DynamoDbBusyError,
    DynamoDbUnreachableError,
    LockPage,
    Locks,
    LocksTableMissingError,
    LocksTableUnfitError,
    _id_as_text,
    _key_as_text,
    _key_from_text,
    dynamodb_client,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FIELD = "last_battery_check"
MONTH = timedelta(days=30)
NOW = datetime(2026, 11, 16, 9, tzinfo=UTC)
SCAN = Scan(as_of=NOW)
SMALL_PAGE = 20


@pytest.fixture(scope="module")
def server(server_folder: Path) -> Iterator[DynamoDbServer]:
    with DynamoDbServer(server_folder / "dynamodb") as server:
        yield server


@pytest.fixture
def client(server: DynamoDbServer) -> Iterator[DynamoDBClient]:
    client = server.client()
    yield client
    client.close()


@pytest.fixture
def table(client: DynamoDBClient) -> str:
    name = f"locks-{uuid4().hex}"
    create_locks_table(client, name)
    return name


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_database_engine(database_url, pool_size=2)
    with engine.begin() as connection:
        connection.execute(text("create table public.lock_user_mapping (lock_id text, user_id text, fcm_id text)"))
    yield engine
    engine.dispose()


@pytest.fixture
def world(client: DynamoDBClient, table: str, engine: Engine) -> World:
    """In the two tables."""
    world = invent_world(locks=300, seed=7, as_of=NOW)
    with engine.begin() as connection:
        connection.execute(text("drop table public.lock_user_mapping"))
    seed_mapping(world, engine)
    seed_dynamodb(world, client, table, FIELD)
    return world


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks_source, "PAGE_LIMIT", SMALL_PAGE)


@pytest.fixture
def open_locks(server: DynamoDbServer, table: str, engine: Engine) -> Callable[..., Locks]:
    return partial(Locks, connect=server.client, table_name=table, last_check_field=FIELD, mapping_engine=engine)


def rows_of(pages: list[LockPage]) -> list[tuple[str, str, str | None]]:
    return sorted(((lock.lock_id, lock.user_id, lock.fcm_id) for page in pages for lock in page.locks), key=str)


def stale_rows(world: World) -> list[tuple[str, str, str | None]]:
    stale = {lock.id for lock in world.locks if lock.stale}
    return sorted(((row.lock_id, row.user_id, row.fcm_id) for row in world.mappings if row.lock_id in stale), key=str)


def added_up(counts: list[Mapping[str, int]]) -> Counter[str]:
    return sum((Counter(count) for count in counts), Counter[str]())


def map_locks(engine: Engine, *lock_ids: str) -> None:
    with engine.begin() as connection:
        for lock_id in lock_ids:
            connection.execute(
                text("insert into public.lock_user_mapping values (:lock, 'owner', 'token')"), {"lock": lock_id}
            )


def create_table(client: DynamoDBClient, name: str, key: str, kind: Literal["S", "N"]) -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],
        BillingMode="PAY_PER_REQUEST",
    )


class Throttled:
    """Makes a real client's calls meet DynamoDB's refusal on their way out: moto itself never throttles."""

    def __init__(self, code: str, status: int, *, refuses: Callable[[int], bool]) -> None:
        self.calls = 0
        self._status = status
        self._code = code
        self._refuses = refuses
        self._lock = threading.Lock()

    def connect(self, server: DynamoDbServer, environment: pytest.MonkeyPatch) -> DynamoDBClient:
        for name, value in server.environment.items():
            environment.setenv(name, value)
        client = dynamodb_client(None, None)
        client.meta.events.register("before-send.dynamodb.Scan", self._answer)  # type: ignore[arg-type]  # it may answer
        return client

    def _answer(self, request: Any, **_: object) -> AWSResponse | None:  # noqa: ANN401 - botocore's own
        with self._lock:
            self.calls += 1
            if not self._refuses(self.calls):
                return None
        body = f'{{"__type": "com.amazonaws.dynamodb.v20120810#{self._code}", "message": "slow down"}}'.encode()
        return AWSResponse(request.url, self._status, HTTPHeaders(), _Body(body))


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


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
        lock.lock_id: (lock.last_check, lock.standing)
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
    create_table(client, name, key="lock_id", kind="N")
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


@pytest.mark.parametrize(
    "refusal", [("ProvisionedThroughputExceededException", 400), ("ThrottlingException", 400), ("Unavailable", 503)]
)
def test_calls_that_were_put_off_are_made_again_until_all_is_read(
    world: World,
    server: DynamoDbServer,
    open_locks: Callable[..., Locks],
    monkeypatch: pytest.MonkeyPatch,
    refusal: tuple[str, int],
) -> None:
    throttled = Throttled(*refusal, refuses=lambda call: call % 4 != 0)
    locks = open_locks(connect=partial(throttled.connect, server, monkeypatch))
    assert rows_of(list(locks.stale(MONTH, SCAN))) == stale_rows(world)
    assert throttled.calls == 16


def test_throttling_that_does_not_end_is_an_error_with_its_remedy(
    server: DynamoDbServer, table: str, open_locks: Callable[..., Locks], monkeypatch: pytest.MonkeyPatch
) -> None:
    throttled = Throttled("ProvisionedThroughputExceededException", 400, refuses=lambda _: True)
    patience = timedelta(seconds=0.15)
    locks = open_locks(connect=partial(throttled.connect, server, monkeypatch), patience=patience, segments=2)
    with pytest.raises(DynamoDbBusyError, match=rf"{table}.* more than 0\.15 s .*ProvisionedThroughput.*read capacity"):
        list(locks.stale(MONTH, SCAN))


@pytest.mark.usefixtures("small_pages", "world")
def test_a_reader_that_stops_early_is_not_kept_by_a_segment_that_is_throttled(
    server: DynamoDbServer, open_locks: Callable[..., Locks], monkeypatch: pytest.MonkeyPatch
) -> None:
    throttled = Throttled("ThrottlingException", 400, refuses=lambda call: call > 1)
    pages = open_locks(connect=partial(throttled.connect, server, monkeypatch)).stale(MONTH, SCAN)
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


def test_a_table_with_another_key_names_the_key_wanted(
    client: DynamoDBClient, open_locks: Callable[..., Locks]
) -> None:
    name = f"doors-{uuid4().hex}"
    create_table(client, name, key="door", kind="S")
    client.put_item(TableName=name, Item={"door": {"S": "front"}})
    with pytest.raises(LocksTableUnfitError, match="no lock_id: set LOCKS_TABLE"):
        list(open_locks(table_name=name).stale(MONTH, SCAN))


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
