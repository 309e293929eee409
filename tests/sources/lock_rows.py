"""What the tests of the locks put in, and hold against what comes out."""

from __future__ import annotations  # the stubs' names exist for mypy alone

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Engine, text

from domain.message import Scan
from sandbox.people import World
from sources.locks import LockPage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = "lock_id"
FIELD = "last_battery_check"
MONTH = timedelta(days=30)
NOW = datetime(2026, 11, 16, 9, tzinfo=UTC)
SCAN = Scan(as_of=NOW)
SMALL_PAGE = 20


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


def create_table(
    client: DynamoDBClient,
    name: str,
    kind: Literal["S", "N", "B"] = "S",
    *key: str,
    provisioned: int | None = None,
) -> None:
    """Its key is `key`: the second name, if there is one, is that of the sort key. On demand, or with so many units."""
    names = key or (KEY,)
    billing: dict[str, Any] = {"BillingMode": "PAY_PER_REQUEST"}
    if provisioned:
        billing = {"ProvisionedThroughput": {"ReadCapacityUnits": provisioned, "WriteCapacityUnits": 1}}
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": each, "KeyType": "RANGE" if each in names[1:] else "HASH"} for each in names],
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": kind} for each in names],
        **billing,
    )
