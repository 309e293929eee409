from collections.abc import Iterator

import pytest
from temporalio.client import Client

from db.engine import create_database_engine
from tests.fakes import People
from tests.stage import Stage


@pytest.fixture
def stage(database_url: str, temporal_client: Client) -> Iterator[Stage]:
    """Nobody is in its audience yet: a test sets `stage.people.recipients`."""
    engine = create_database_engine(database_url)
    yield Stage(engine, temporal_client, People([]))
    engine.dispose()
