from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from channels.fcm import FcmChannel
from sandbox.fcm import FcmSimulator

SLOW_SECONDS = 1.5
Build = Callable[..., FcmChannel]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FcmSimulator]:
    with FcmSimulator(tmp_path_factory.mktemp("fcm"), slow_seconds=SLOW_SECONDS, retry_after="7") as running:
        yield running


@pytest.fixture
def environment(simulator: FcmSimulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, setting in simulator.environment.items():
        monkeypatch.setenv(name, setting)
    return simulator.environment


@pytest.fixture
def build(environment: dict[str, str]) -> Iterator[Build]:
    """Builds channels with names of their own, and closes them."""
    built: list[FcmChannel] = []

    def build_one(timeout_seconds: float = 8.0) -> FcmChannel:
        credentials = Path(environment["GOOGLE_APPLICATION_CREDENTIALS"])
        built.append(FcmChannel(credentials, timeout_seconds=timeout_seconds, app_name=f"test-{uuid4()}"))
        return built[-1]

    yield build_one
    for channel in built:
        channel.close()


@pytest.fixture(scope="module")
def shared_channel(simulator: FcmSimulator) -> Iterator[FcmChannel]:
    shared = FcmChannel(Path(simulator.environment["GOOGLE_APPLICATION_CREDENTIALS"]), app_name=f"test-{uuid4()}")
    yield shared
    shared.close()


@pytest.fixture
def channel(shared_channel: FcmChannel, environment: dict[str, str]) -> FcmChannel:
    """For tests that do not close it."""
    return shared_channel
