"""The schema as Alembic makes it: all of it in `drumbeat`, and the same as the tables in the code."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from db.engine import create_database_engine
from db.migrate import migrate
from db.tables import SCHEMA, Base
from sandbox.postgres import PostgresServer
from tests.db.scene import Scene, in_threads


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    """Nobody has migrated it yet."""
    name = f"empty_{uuid4().hex}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


def differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table_schema": SCHEMA,
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
                "compare_server_default": True,
            },
        )
        return list(compare_metadata(context, Base.metadata))


def test_the_migrated_schema_is_what_the_tables_say(scene: Scene) -> None:
    assert differences(scene.engine) == []


def test_a_column_that_no_migration_makes_would_be_seen(scene: Scene) -> None:
    with scene.engine.begin() as connection:
        connection.execute(text("alter table drumbeat.messages drop column nudged_at"))
    assert len(differences(scene.engine)) == 1


def test_everything_of_ours_is_in_our_schema_and_nothing_in_public(scene: Scene) -> None:
    found = inspect(scene.engine)
    assert set(found.get_table_names(schema=SCHEMA)) == {
        "alembic_version",
        *(table.name for table in Base.metadata.sorted_tables),
    }
    assert found.get_table_names(schema="public") == []


def test_migrating_twice_changes_nothing(empty_database: str) -> None:
    migrate(empty_database)
    migrate(empty_database)
    assert_is_migrated(empty_database)


def test_two_who_migrate_at_once_do_not_meet(empty_database: str) -> None:
    in_threads(3, lambda _: migrate(empty_database))
    assert_is_migrated(empty_database)


def assert_is_migrated(url: str) -> None:
    engine = create_database_engine(url, pool_size=1)
    assert differences(engine) == []
    with engine.connect() as connection:
        assert connection.scalar(text("select count(*) from drumbeat.alembic_version")) == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("idle_in_transaction_session_timeout", "3s"),
        ("lock_timeout", "3s"),
        ("transaction_isolation", "read committed"),
        ("TimeZone", "UTC"),
    ],
)
def test_every_connection_has_its_limits(scene: Scene, setting: str, value: str) -> None:
    with scene.engine.connect() as connection:
        assert connection.scalar(text(f"show {setting}")) == value
