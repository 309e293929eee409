from collections.abc import Iterator

import pytest

from db.engine import create_database_engine
from tests.db.scene import Scene


@pytest.fixture
def scene(database_url: str) -> Iterator[Scene]:
    engine = create_database_engine(database_url, pool_size=30)
    yield Scene(engine)
    engine.dispose()
