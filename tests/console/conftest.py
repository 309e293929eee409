"""A terminal in an empty folder, and the servers that its commands talk to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.engine import create_database_engine
from sandbox.temporal_server import TemporalServer
from tests.console.terminal import Terminal
from tests.environment import COMPLETE


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_database_engine(database_url, pool_size=2)
    yield engine
    engine.dispose()


@pytest.fixture
def drumbeat(
    tmp_path: Path, database_url: str, temporal_server: TemporalServer, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    addresses = {
        "DATABASE_URL": database_url,
        "TEMPORAL_ADDRESS": temporal_server.address,
        "WAIT_FOR_SERVERS_SECONDS": "1",
    }
    return Terminal(tmp_path, {**COMPLETE, **addresses}, capsys)


@pytest.fixture
def nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """Where nothing is set, and nobody listens."""
    return Terminal(tmp_path, {}, capsys)
