"""The customer's DynamoDB: its client, and calls that are made again when they are put off. Errors carry remedies."""

from __future__ import annotations  # the stubs' names exist for mypy alone

from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from domain.problems import ProblemError, TemporaryProblemError
from sources.segments import Pace

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Answer = TypeVar("Answer")

KEY = "lock_id"
PATIENCE = timedelta(minutes=1)
"""How long one page may be put off by throttling: well below the snapshot's heartbeat, so that its error is seen."""

_CONNECT_SECONDS = 3
_READ_SECONDS = 10
_SDK_TRIES = 2
_THROTTLED = frozenset({"ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"})
_SERVERS_FAULT = 500
"""The HTTP status from which on the request itself may be right, and is worth repeating."""


class LocksUnreadableError(ProblemError):
    """The table of locks cannot be read; the text says where it was looked for, why not, and what to do."""


class LocksTableMissingError(LocksUnreadableError):
    def __init__(self, table: str, where: str) -> None:
        super().__init__(f"{where} has no table {table!r}: set LOCKS_TABLE to the name of the locks' table")


class LocksTableUnfitError(LocksUnreadableError):
    """Its key is another one; `found` says which, as far as it is known."""

    def __init__(self, table: str, where: str, found: str) -> None:
        super().__init__(
            f"the key of {table!r} in {where} is {found}, not {KEY} alone: set LOCKS_TABLE to a table with one item "
            "for each lock under that key, and where it is not text, allow dynamodb:DescribeTable"
        )


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


class PutOffError(Exception):
    """An answer that left something unread. Whoever makes the call raises it, and asks for the rest the next time."""


def dynamodb_client(region: str | None, endpoint: str | None, connections: int = 4) -> DynamoDBClient:
    """None leaves it to AWS's own environment and files. The back-off is ours, the SDK itself tries only twice."""
    config = Config(
        max_pool_connections=connections,
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _SDK_TRIES},
    )
    return boto3.session.Session().client("dynamodb", region_name=region, endpoint_url=endpoint, config=config)


def connected(connect: Callable[[], DynamoDBClient]) -> DynamoDBClient:
    """A client of the caller's own, who closes it."""
    try:
        return connect()
    except (BotoCoreError, ValueError) as error:  # the second: an endpoint that is no URL
        raise DynamoDbUnreachableError("DynamoDB", error) from error


class Calls:
    """Calls about one table, by several threads at once, at one pace for all."""

    def __init__(self, client: DynamoDBClient, table: str, patience: timedelta) -> None:
        self.stopped = Event()
        self.where = f"DynamoDB at {client.meta.endpoint_url} ({client.meta.region_name})"
        self._table = table
        self._patience = patience
        self._pace = Pace(self.stopped)

    def make(self, call: Callable[[], Answer]) -> Answer:
        """Its answer, at last. Raises a LocksUnreadableError."""
        put_off = timedelta()
        while True:
            pause = self._pace.wait()
            try:
                answer = call()
            except (ClientError, PutOffError) as error:
                put_off += timedelta(seconds=pause)
                self._raise_unless_put_off(error, put_off)
                self._pace.throttled(pause)
            except BotoCoreError as error:
                raise DynamoDbUnreachableError(self.where, error) from error
            else:
                self._pace.succeeded()
                return answer

    def _raise_unless_put_off(self, error: ClientError | PutOffError, put_off: timedelta) -> None:
        code = "UnprocessedKeys" if isinstance(error, PutOffError) else self._code_of_throttling(error)
        if put_off >= self._patience or self.stopped.is_set():
            raise DynamoDbBusyError(self._table, self.where, code, self._patience) from error

    def _code_of_throttling(self, error: ClientError) -> str:
        code = error.response["Error"]["Code"]
        if code == "ResourceNotFoundException":
            raise LocksTableMissingError(self._table, self.where) from error
        if code == "ValidationException":
            raise LocksTableUnfitError(self._table, self.where, f"another one ({error})") from error
        if code not in _THROTTLED and error.response["ResponseMetadata"]["HTTPStatusCode"] < _SERVERS_FAULT:
            raise DynamoDbUnreachableError(self.where, error) from error
        return code
