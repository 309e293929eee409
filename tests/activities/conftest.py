"""The invented world, in a DynamoDB and a PostgreSQL of its own, for what looks at a campaign and stores nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.engine import create_database_engine
from sandbox.dynamodb import DynamoDbServer, create_locks_table
from sandbox.people import World, invent_world, seed_devices, seed_dynamodb, seed_mapping
from sandbox.postgres import PostgresServer
from tests.db.scene import Scene

TABLE, FIELD = "locks", "last_battery_check"


@pytest.fixture
def scene(database_url: str) -> Iterator[Scene]:
    engine = create_database_engine(database_url, pool_size=30)
    yield Scene(engine)
    engine.dispose()


@pytest.fixture(scope="package")
def world() -> World:
    return invent_world(locks=300, seed=11, as_of=datetime.now(UTC))


@pytest.fixture(scope="package")
def dynamodb(server_folder: Path, world: World) -> Iterator[DynamoDbServer]:
    with DynamoDbServer(server_folder / "dynamodb-of-the-invented-world") as server:
        client = server.client()
        create_locks_table(client, TABLE)
        seed_dynamodb(world, client, TABLE, FIELD)
        client.close()
        yield server


@pytest.fixture(scope="package")
def engine(postgres_server: PostgresServer, template_database: str, world: World) -> Iterator[Engine]:
    url = postgres_server.create_database("of_the_invented_world", template=template_database)
    engine = create_database_engine(url, pool_size=5)
    seed_mapping(world, engine)
    seed_devices(world, engine)
    yield engine
    engine.dispose()
