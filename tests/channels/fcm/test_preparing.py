import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from channels.fcm import FcmChannel
from channels.interface import (
    NotPermittedError,
    ProviderBusyError,
)
from sandbox.fcm import FcmSimulator
from tests.channels.conformance import (
    an_outgoing,
)
from tests.channels.fcm.conftest import Build


def test_prepare_leaves_a_connection_that_the_send_uses(build: Build, simulator: FcmSimulator) -> None:
    channel = build()
    channel.prepare()
    prepared = set(simulator._proxy._tunnels)
    channel.send(an_outgoing(), "phone:1")
    assert set(simulator._proxy._tunnels) == prepared


def test_prepare_renews_credentials_that_would_expire_in_the_middle(channel: FcmChannel) -> None:
    channel.prepare()
    nearly = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=5)
    channel._credentials.expiry = nearly
    channel.prepare()
    assert channel._credentials.expiry > nearly + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("token_uri", "error", "code"),
    [
        ("https://oauth2.sandbox.invalid/token", ProviderBusyError, "NO_TOKEN"),
        ("https://fcm.googleapis.com/no-such-path", NotPermittedError, "CREDENTIALS_REFUSED"),
    ],
)
def test_a_token_service_out_of_reach_is_told_apart_from_one_that_refuses_us(
    environment: dict[str, str], tmp_path: Path, token_uri: str, error: type[Exception], code: str
) -> None:
    account = json.loads(Path(environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
    del account["universe_domain"]  # so that a token has to be fetched
    (file := tmp_path / "account.json").write_text(json.dumps({**account, "token_uri": token_uri}))
    channel = FcmChannel(file, app_name=f"test-{uuid4()}")
    with pytest.raises(error, match=code):
        channel.prepare()
    channel.close()


def test_nobody_but_fcm_is_called(channel: FcmChannel, simulator: FcmSimulator) -> None:
    before = simulator.refused_hosts
    channel.prepare()
    channel.send(an_outgoing(), "phone:1")
    assert simulator.refused_hosts == before


@pytest.mark.parametrize("content", [None, "{}", "not json", '{"type": "service_account"}'])
def test_an_unusable_credentials_file_is_named_at_once(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "account.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NotPermittedError, match="CREDENTIALS_UNUSABLE"):
        FcmChannel(file)


def test_a_closed_channel_leaves_its_name_free(environment: dict[str, str]) -> None:
    credentials = Path(environment["GOOGLE_APPLICATION_CREDENTIALS"])
    for _ in range(2):
        FcmChannel(credentials, app_name="the-same").close()


def test_a_channel_can_be_closed_where_an_event_loop_runs(build: Build) -> None:
    channel = build()

    async def shut_down() -> None:
        channel.close()

    asyncio.run(shut_down())


def test_a_closed_channel_leaves_no_thread(build: Build) -> None:
    channel = build()
    channel.send(an_outgoing(), "phone:1")
    assert _sender_threads(channel)
    channel.close()
    assert not _sender_threads(channel)


def _sender_threads(channel: FcmChannel) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(channel._app.name)]
