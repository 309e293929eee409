"""DynamoDB on loopback: moto's server, spoken to by the real boto3. It keeps its tables in memory."""

from __future__ import annotations  # the stubs' names exist for mypy alone

import sys
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection, HTTPException
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeSerializer

from sandbox.embedded_server import EmbeddedServer
from sandbox.leash import Leash, leashed
from sandbox.ports import LOOPBACK

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REGION = "eu-west-1"
KEY = "lock_id"
_ANSWER_SECONDS = 2.0
_ITEMS_IN_A_WRITE = 25  # DynamoDB takes no more


class DynamoDbServer(EmbeddedServer):
    """Forgets all at its end."""

    name = "DynamoDB (moto)"

    def __init__(self, folder: Path, *, preferred_port: int | None = None) -> None:
        super().__init__(folder, preferred_port=preferred_port)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a program's environment needs so that its boto3 comes here; the credentials are invented."""
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
        }

    def client(self) -> DynamoDBClient:
        """For whoever fills the tables, in this process; close it."""
        return boto3.session.Session().client(
            "dynamodb",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",  # noqa: S106 - moto takes any
        )

    def _prepare(self) -> None:
        """Nothing: it keeps no files but its log."""

    def _launch(self) -> Leash:
        return leashed(
            # -P: the folder that we are in has packages of its own, which moto must not find.
            [sys.executable, "-P", "-m", "moto.server", f"--host={LOOPBACK}", f"--port={self._port}"],
            log=self._folder / "moto.log",
            env={"PATH": "/usr/bin:/bin", "HOME": str(self._folder)},
            keep_open=self._kept_open,
        )

    def _answers(self) -> bool:
        connection = HTTPConnection(LOOPBACK, self._port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("GET", "/moto-api/data.json")
            return connection.getresponse().status == 200  # noqa: PLR2004 - HTTP's OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def create_locks_table(client: DynamoDBClient, table: str) -> None:
    """Empty, with its key `lock_id`, which is text. Raises where there is one of that name."""
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})


def put_locks(client: DynamoDBClient, table: str, locks: Iterable[Mapping[str, Any]]) -> None:
    """Write items, as plain Python values (numbers as int or Decimal); one of the same key replaces the earlier."""
    serialise = TypeSerializer().serialize
    writes = ({"PutRequest": {"Item": {name: serialise(value) for name, value in lock.items()}}} for lock in locks)
    while batch := list(islice(writes, _ITEMS_IN_A_WRITE)):
        _write(client, {table: batch})


def _write(client: DynamoDBClient, requests: Mapping[str, Any]) -> None:
    while requests:
        requests = client.batch_write_item(RequestItems=requests)["UnprocessedItems"]
