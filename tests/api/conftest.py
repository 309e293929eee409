from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import cast

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from temporalio.client import Client

from api.app import Parts, create_app
from campaigns.registry import find_campaigns
from db.engine import create_database_engine
from domain.tokens import Signer
from tests.api.temporal_double import TemporalDouble
from tests.db.scene import HASHER

OpenApp = Callable[..., TestClient]

LOCAL = "http://127.0.0.1"
"""Where an API without keys may be asked."""


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_database_engine(database_url, pool_size=5)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer.of_secrets(b"a secret that only this test knows")


@pytest.fixture
def temporal() -> TemporalDouble:
    return TemporalDouble()


@pytest.fixture
def parts(engine: Engine, signer: Signer, temporal: TemporalDouble) -> Parts:
    async def connect() -> Client:
        return cast("Client", await temporal.connect())

    return Parts(
        engine=engine,
        connect=connect,
        signer=signer,
        registry=find_campaigns({}, {}),
        hash_address=HASHER,
        api_keys_required=False,
    )


@pytest.fixture
def open_app() -> Iterator[OpenApp]:
    """Serves `parts`, with the relay running, until the test ends."""
    with ExitStack() as stack:

        def open_one(parts: Parts) -> TestClient:
            app = create_app(parts)
            app.state.relay._drain_seconds = 0.1  # a Temporal that is away for good need not be waited for
            client = TestClient(app, raise_server_exceptions=False, follow_redirects=False, base_url=LOCAL)
            return stack.enter_context(client)

        yield open_one


@pytest.fixture
def api(open_app: OpenApp, parts: Parts) -> TestClient:
    return open_app(parts)
