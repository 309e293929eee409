"""Real servers for tests. Each starts when the first test asks for it: a test that needs none starts none."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from sandbox.postgres import PostgresServer
from sandbox.temporal_binary import find_or_install
from sandbox.temporal_server import TemporalServer

# A busy machine must not fail a rule.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Open to all, as pytest's own folders are not: root's PostgreSQL runs as another user."""
    with TemporaryDirectory(prefix="drumbeat-tests-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[PostgresServer]:
    with PostgresServer(server_folder / "postgres", durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres_server: PostgresServer) -> str:
    """The name of a database with our tables and no rows."""
    from db.migrate import migrate  # noqa: PLC0415 - tests without a database need not import it

    name = "drumbeat_template"
    migrate(postgres_server.create_database(name))
    return name


@pytest.fixture
def database_url(postgres_server: PostgresServer, template_database: str) -> Iterator[str]:
    """A database of the test's own, with our tables and no rows."""
    name = f"test_{uuid4().hex}"
    yield postgres_server.create_database(name, template=template_database)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def temporal_program(pytestconfig: pytest.Config) -> Path:
    return find_or_install(pytestconfig.get_terminal_writer().line)


@pytest.fixture(scope="session")
def temporal_server(server_folder: Path, temporal_program: Path) -> Iterator[TemporalServer]:
    folder = server_folder / "temporal"
    with TemporalServer(folder, temporal_program, in_memory=True, headless=True, preferred_port=None) as server:
        yield server


@pytest.fixture(scope="session")
def temporal_client(temporal_server: TemporalServer) -> Client:
    """For any number of event loops, one after the other."""
    return asyncio.run(Client.connect(temporal_server.address, data_converter=pydantic_data_converter))
