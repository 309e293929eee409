"""Stale locks and their owners: one walk through the customer's DynamoDB table `locks`."""

from __future__ import annotations  # the stubs' names exist for mypy alone

import base64
import json
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeDeserializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import Engine

from domain.last_check import LastCheck, Standing, is_stale, read_last_check
from domain.message import Scan
from domain.problems import ProblemError, TemporaryProblemError
from sources.mapping import LockMapping
from sources.segments import Pace, Place, in_parallel, places

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = "lock_id"
SEGMENTS = 4
PAGE_LIMIT = 500
PATIENCE = timedelta(minutes=1)
"""How long one page may be put off by throttling: well below the snapshot's heartbeat, so that its error is seen."""

_CONNECT_SECONDS = 3
_READ_SECONDS = 10
_SDK_TRIES = 2
_THROTTLED = frozenset({"ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"})
_SERVERS_FAULT = 500
"""The HTTP status from which on the request itself may be right, and is worth repeating."""

_Attributes = dict[str, Any]  # as DynamoDB writes them: {"lock_id": {"S": "..."}}


class LocksUnreadableError(ProblemError):
    """The table of locks cannot be read; the text says where it was looked for, why not, and what to do."""


class LocksTableMissingError(LocksUnreadableError):
    def __init__(self, table: str, where: str) -> None:
        super().__init__(f"{where} has no table {table!r}: set LOCKS_TABLE to the name of the locks' table")


class LocksTableUnfitError(LocksUnreadableError):
    def __init__(self, table: str, where: str) -> None:
        super().__init__(f"items of {table!r} in {where} have no {KEY}: set LOCKS_TABLE to a table with that key")


class DynamoDbBusyError(LocksUnreadableError, TemporaryProblemError):
    """Worth another try later, from the bookmarks on."""

    def __init__(self, table: str, where: str, code: str, patience: timedelta) -> None:
        super().__init__(
            f"{where} put the reading of {table!r} off for more than {patience.total_seconds():g} s ({code}): "
            "try again later, or give the table more read capacity"
        )


class DynamoDbUnreachableError(LocksUnreadableError, TemporaryProblemError):
    """Nobody there, no region, or no credentials that it accepts."""

    def __init__(self, where: str, reason: object) -> None:
        super().__init__(
            f"cannot read from {where}: {reason}; check the AWS credentials and region, and AWS_ENDPOINT_URL_DYNAMODB"
        )


@dataclass(frozen=True, slots=True)
class MappedLock:
    """A stale lock, once for each owner and each of the owner's tokens."""

    lock_id: str
    user_id: str
    fcm_id: str | None
    last_check: datetime | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class LockPage:
    locks: tuple[MappedLock, ...]
    left_out: Mapping[str, int]
    """Locks by reason: fresh, or unmapped (stale, but nobody's)."""
    noted: Mapping[str, int]
    """Stale locks, mapped or not: never_checked, unreadable. Owners of a lock: without_token."""
    bookmark: tuple[str, str] | None


def dynamodb_client(region: str | None, endpoint: str | None, segments: int = SEGMENTS) -> DynamoDBClient:
    """None leaves it to AWS's own environment and files. The back-off is ours, the SDK itself tries only twice."""
    config = Config(
        max_pool_connections=segments,
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _SDK_TRIES},
    )
    return boto3.session.Session().client("dynamodb", region_name=region, endpoint_url=endpoint, config=config)


class Locks:
    """The customer's locks, read only. `connect` makes the client of one walk, which closes it."""

    def __init__(
        self,
        connect: Callable[[], DynamoDBClient],
        table_name: str,
        last_check_field: str,
        mapping_engine: Engine,
        segments: int = SEGMENTS,
        *,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._connect = connect
        self._table_name = table_name
        self._last_check_field = last_check_field
        self._mapping_engine = mapping_engine
        self._segments = segments
        self._patience = patience

    def stale(self, older_than: timedelta, scan: Scan) -> Generator[LockPage, None, None]:
        """The locks last checked longer ago than that at `scan.as_of`, with their owners, a page at a time.

        A page's bookmark holds once the page is stored. A segment keeps its order, the segments mix; a page may be
        empty. Raises a LocksUnreadableError or sources.mapping.MappingUnreadableError, once it is iterated.
        """
        mapping = LockMapping(self._mapping_engine)
        with closing(self._connected()) as client:
            table = _Table(client, self._table_name, self._last_check_field, self._patience)

            def read(place: Place) -> tuple[LockPage, Place | None]:
                checks, following = table.read(place)
                stale = {lock_id: check for lock_id, check in checks.items() if is_stale(check, scan.as_of, older_than)}
                return _page(stale, len(checks), mapping, place.bookmark(following)), following

            yield from in_parallel(places(scan.bookmarks, self._segments), read, table.stopped)

    def _connected(self) -> DynamoDBClient:
        try:
            return self._connect()
        except (BotoCoreError, ValueError) as error:  # the second: an endpoint that is no URL
            raise DynamoDbUnreachableError("DynamoDB", error) from error


def _page(stale: Mapping[str, LastCheck], seen: int, mapping: LockMapping, bookmark: tuple[str, str]) -> LockPage:
    owners = mapping.owners_of(stale.keys())
    locks = tuple(
        MappedLock(lock_id, owner.user_id, owner.fcm_id, check.at, check.standing)
        for lock_id, check in stale.items()
        for owner in owners.get(lock_id, ())
    )
    left_out = Counter(fresh=seen - len(stale), unmapped=len(stale) - len(owners))
    noted = Counter(str(check.standing) for check in stale.values() if check.standing is not Standing.CHECKED)
    noted["without_token"] = sum(lock.fcm_id is None for lock in locks)
    return LockPage(locks, +left_out, +noted, bookmark)


class _Table:
    """Pages of the table as (last check by lock, where to go on), read by several threads at once."""

    def __init__(self, client: DynamoDBClient, name: str, last_check_field: str, patience: timedelta) -> None:
        self.stopped = Event()
        self._client = client
        self._name = name
        self._last_check_field = last_check_field
        self._patience = patience
        self._pace = Pace(self.stopped)
        self._where = f"DynamoDB at {client.meta.endpoint_url} ({client.meta.region_name})"

    def read(self, place: Place) -> tuple[dict[str, LastCheck], Place | None]:
        answer = self._scan(self._request(place))
        checks = dict(map(self._lock, answer["Items"]))
        if last := answer.get("LastEvaluatedKey"):
            return checks, Place(place.segment, place.segments, _key_as_text(last))
        return checks, None

    def _request(self, place: Place) -> dict[str, Any]:
        # No FilterExpression: it saves no capacity, and it would drop what cannot be compared.
        request = {
            "TableName": self._name,
            "Segment": place.segment,
            "TotalSegments": place.segments,
            "Limit": PAGE_LIMIT,
            "ProjectionExpression": "#key, #last_check",
            "ExpressionAttributeNames": {"#key": KEY, "#last_check": self._last_check_field},
        }
        return request | ({"ExclusiveStartKey": _key_from_text(place.after)} if place.after else {})

    def _scan(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        put_off = timedelta()
        while True:
            pause = self._pace.wait()
            try:
                answer = self._client.scan(**request)
            except ClientError as error:
                put_off += timedelta(seconds=pause)
                self._raise_unless_busy(error, put_off)
                self._pace.throttled(pause)
            except BotoCoreError as error:
                raise DynamoDbUnreachableError(self._where, error) from error
            else:
                self._pace.succeeded()
                return answer

    def _raise_unless_busy(self, error: ClientError, put_off: timedelta) -> None:
        code = error.response["Error"]["Code"]
        if code == "ResourceNotFoundException":
            raise LocksTableMissingError(self._name, self._where) from error
        if code not in _THROTTLED and error.response["ResponseMetadata"]["HTTPStatusCode"] < _SERVERS_FAULT:
            raise DynamoDbUnreachableError(self._where, error) from error
        if put_off >= self._patience or self.stopped.is_set():
            raise DynamoDbBusyError(self._name, self._where, code, self._patience) from error

    def _lock(self, item: _Attributes) -> tuple[str, LastCheck]:
        if KEY not in item:
            raise LocksTableUnfitError(self._name, self._where)
        return _id_as_text(item[KEY]), read_last_check(_plain(item.get(self._last_check_field)))


def _plain(attribute: Any) -> object:  # noqa: ANN401 - the stubs keep the deserialiser's type to themselves
    try:
        return None if attribute is None else TypeDeserializer().deserialize(attribute)
    except (ArithmeticError, TypeError):
        return attribute  # a number beyond what DynamoDB knows, or a type of tomorrow: no time, and never fatal


def _id_as_text(attribute: _Attributes) -> str:
    (value,) = attribute.values()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _key_as_text(key: _Attributes) -> str:
    return json.dumps(key, default=lambda binary: base64.b64encode(binary).decode())


def _key_from_text(text: str) -> _Attributes:
    key: _Attributes = json.loads(text)
    return {
        name: {kind: base64.b64decode(value) if kind == "B" else value for kind, value in attribute.items()}
        for name, attribute in key.items()
    }
