"""A DynamoDB and a mapping for the source of locks."""

from __future__ import annotations  # the stubs' names exist for mypy alone

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db.engine import create_database_engine
from sandbox.dynamodb import DynamoDbServer, create_locks_table
from sandbox.people import World, invent_world, seed_dynamodb, seed_mapping
from sources import locks_table
from sources.dynamodb import dynamodb_client
from sources.locks import Locks
from tests.sources.lock_rows import FIELD, NOW, SMALL_PAGE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="session")
def server(server_folder: Path) -> Iterator[DynamoDbServer]:
    with DynamoDbServer(server_folder / "dynamodb") as server:
        yield server


@pytest.fixture
def client(server: DynamoDbServer) -> Iterator[DynamoDBClient]:
    client = server.client()
    yield client
    client.close()


@pytest.fixture
def our_client(server: DynamoDbServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[], DynamoDBClient]:
    """As in production, with its few tries and short time-outs."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return partial(dynamodb_client, None, None)


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
    monkeypatch.setattr(locks_table, "PAGE_LIMIT", SMALL_PAGE)


@pytest.fixture
def open_locks(server: DynamoDbServer, table: str, engine: Engine) -> Callable[..., Locks]:
    return partial(Locks, connect=server.client, table_name=table, last_check_field=FIELD, mapping_engine=engine)
