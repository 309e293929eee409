import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest
from firebase_admin import messaging
from firebase_admin.exceptions import DeadlineExceededError
from requests import Response

from channels.fcm import FcmChannel
from channels.fcm.answers import meaning, retry_after
from channels.fcm.encoding import encoded
from channels.fcm.transport import HandOver, handing_over
from channels.interface import (
    AddressRejectedError,
    MessageRejectedError,
    NotPermittedError,
    OutcomeUnknownError,
    ProviderBusyError,
)
from channels.payload import payload
from sandbox.fcm import Fault as FcmFault
from sandbox.fcm import FcmSimulator
from sandbox.fcm.service_account import ServiceAccount
from sandbox.ports import LOOPBACK, free_port
from tests.channels.conformance import (
    IMPATIENT_SECONDS,
    Accepted,
    ChannelConformance,
    Fault,
    an_outgoing,
    assert_tells_an_operator,
)

SLOW_SECONDS = 1.5
FAULTS = {Fault.BUSY: FcmFault.QUOTA, Fault.CUT_AFTER_ACCEPT: FcmFault.CUT, Fault.HANG: FcmFault.HANG}


class FcmProvider:
    def __init__(self, simulator: FcmSimulator) -> None:
        self._simulator = simulator

    def good_address(self) -> str:
        return f"phone-{uuid4()}:APA91b-of-an-invented-person"

    def dead_address(self) -> str:
        return f"phone-dead-{uuid4()}:APA91b-of-an-invented-person"

    def accepted(self, message_id: UUID) -> list[Accepted]:
        return [
            Accepted(push.token, UUID(push.message_id), UUID(push.dedupe_id), push.title, push.body)
            for push in self._simulator.accepted
            if push.message_id == str(message_id) and push.dedupe_id
        ]

    def requests(self) -> int:
        return self._simulator.outcomes.total()

    def fail_next(self, address: str, fault: Fault) -> None:
        self._simulator.fail(address, FAULTS[fault], times=1)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FcmSimulator]:
    with FcmSimulator(tmp_path_factory.mktemp("fcm"), slow_seconds=SLOW_SECONDS, retry_after="7") as running:
        yield running


@pytest.fixture
def environment(simulator: FcmSimulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, setting in simulator.environment.items():
        monkeypatch.setenv(name, setting)
    return simulator.environment


Build = Callable[..., FcmChannel]


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


class TestFcmConformance(ChannelConformance):
    busy_retry_after = 7.0

    @pytest.fixture
    def provider(self, simulator: FcmSimulator) -> FcmProvider:
        return FcmProvider(simulator)

    @pytest.fixture
    def channel(self, build: Build) -> FcmChannel:
        return build()

    @pytest.fixture
    def impatient_channel(self, build: Build) -> FcmChannel:
        return build(timeout_seconds=IMPATIENT_SECONDS)

    @pytest.fixture
    def disconnected_channel(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> FcmChannel:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{free_port()}")
        return build()


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        (FcmFault.DEAD, AddressRejectedError, "UNREGISTERED"),
        (FcmFault.MISMATCH, AddressRejectedError, "SENDER_ID_MISMATCH"),
        (FcmFault.INVALID, AddressRejectedError, "INVALID_ARGUMENT"),
        (FcmFault.DENIED, NotPermittedError, "THIRD_PARTY_AUTH_ERROR"),
        (FcmFault.QUOTA, ProviderBusyError, "QUOTA_EXCEEDED"),
        (FcmFault.BUSY503, ProviderBusyError, "UNAVAILABLE"),
        (FcmFault.ERROR500, OutcomeUnknownError, "INTERNAL"),
        (FcmFault.ERROR502, OutcomeUnknownError, "HTTP_502"),
        (FcmFault.MOVED, OutcomeUnknownError, "HTTP_307"),
        (FcmFault.CUT, OutcomeUnknownError, "CONNECTION_BROKEN"),
        (FcmFault.GARBAGE, OutcomeUnknownError, "UNREADABLE_ANSWER"),
    ],
)
def test_each_answer_has_its_meaning_and_costs_one_request(
    channel: FcmChannel, simulator: FcmSimulator, fault: FcmFault, error: type[Exception], code: str
) -> None:
    address = f"phone-{fault}-{uuid4()}:APA91b-of-an-invented-person"
    before = simulator.outcomes.total()
    with pytest.raises(error) as caught:
        channel.send(an_outgoing(), address)
    assert simulator.outcomes.total() == before + 1
    assert isinstance(caught.value, AddressRejectedError | NotPermittedError | ProviderBusyError | OutcomeUnknownError)
    assert caught.value.code == code
    assert_tells_an_operator(caught.value, address)


def test_a_token_that_google_does_not_know_is_our_fault_and_costs_one_request(
    environment: dict[str, str], simulator: FcmSimulator, tmp_path: Path
) -> None:
    foreign = FcmChannel(ServiceAccount(tmp_path).file, app_name=f"test-{uuid4()}")
    before = simulator.outcomes.total()
    with pytest.raises(NotPermittedError, match="UNAUTHENTICATED"):
        foreign.send(an_outgoing(), "phone:1")
    foreign.close()
    assert simulator.outcomes.total() == before + 1


def test_a_message_that_fcm_calls_malformed_is_no_fault_of_the_address(channel: FcmChannel) -> None:
    with pytest.raises(MessageRejectedError, match="INVALID_ARGUMENT"):
        channel.send(replace(an_outgoing(), data={"google.reserved": "x"}), "phone:1")


def test_what_the_sdk_cannot_encode_is_rejected_before_it_leaves(channel: FcmChannel, simulator: FcmSimulator) -> None:
    before = simulator.outcomes.total()
    with pytest.raises(MessageRejectedError, match="NOT_ENCODABLE"):
        channel.send(replace(an_outgoing(), data=cast("dict[str, str]", {"count": 3})), "phone:1")
    assert simulator.outcomes.total() == before


def test_the_phone_receives_the_device_contract_and_every_platform_its_limits(
    channel: FcmChannel, simulator: FcmSimulator
) -> None:
    message = an_outgoing()
    receipt = channel.send(message, "phone:1")
    (push,) = (push for push in simulator.accepted if push.message_id == str(message.message_id))
    contract = payload(message)
    assert {"title": push.title, "body": push.body, **push.data} == contract
    assert not push.data.keys() & {"title", "body"}
    assert push.ttl_seconds == message.ttl_seconds
    assert push.collapse_key == str(message.dedupe_id)
    assert push.apns_headers["apns-expiration"] == str(int(message.expires_at.timestamp()))
    assert push.apns_headers["apns-collapse-id"] == str(message.dedupe_id)
    assert receipt.provider_id == push.name


@pytest.mark.parametrize(
    ("address", "kind"), [("phone:APA91b", "token"), ("cnXn9tKgTQKoBQ-zRnT_0v", "fid"), ("x" * 23, "token")]
)
def test_an_installation_id_travels_as_such_and_everything_else_as_a_token(address: str, kind: str) -> None:
    assert json.loads(str(encoded(an_outgoing(), address)))[kind] == address


@pytest.mark.parametrize(("ttl_seconds", "on_the_wire"), [(-5, "0s"), (300, "300s"), (99_999_999, "2419200s")])
def test_a_ttl_stays_within_what_fcm_takes(ttl_seconds: int, on_the_wire: str) -> None:
    push = encoded(replace(an_outgoing(), ttl_seconds=ttl_seconds), "phone:1")
    assert json.loads(str(push))["android"]["ttl"] == on_the_wire


def test_an_answer_that_dribbles_in_does_not_outlast_the_time_out(build: Build, simulator: FcmSimulator) -> None:
    message = an_outgoing()
    with pytest.raises(OutcomeUnknownError, match="NO_ANSWER"):
        build(timeout_seconds=SLOW_SECONDS / 3).send(message, "phone-dribble:1")
    assert str(message.message_id) in {push.message_id for push in simulator.accepted}


def test_a_slow_provider_is_waited_for(channel: FcmChannel) -> None:
    assert channel.send(an_outgoing(), "phone-slow:1").provider_id


def test_a_proxy_that_never_answers_means_that_nothing_was_taken(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{silent.getsockname()[1]}")
        with pytest.raises(ProviderBusyError, match="NOT_CONNECTED"):
            build(timeout_seconds=IMPATIENT_SECONDS).send(an_outgoing(), "phone:1")


def test_a_request_that_was_called_off_never_leaves(channel: FcmChannel, simulator: FcmSimulator) -> None:
    hand_over = HandOver(begin_within_seconds=60)
    assert hand_over.call_off()
    before = simulator.outcomes.total()
    with handing_over(hand_over), pytest.raises(DeadlineExceededError):
        messaging.send(encoded(an_outgoing(), "phone:1"), app=channel._app)
    assert simulator.outcomes.total() == before


def test_one_hand_over_is_one_request_whatever_the_sdk_tries(channel: FcmChannel, simulator: FcmSimulator) -> None:
    before = simulator.outcomes.total()
    with handing_over(HandOver(begin_within_seconds=60)):
        messaging.send(encoded(an_outgoing(), "phone:1"), app=channel._app)
        with pytest.raises(DeadlineExceededError):
            messaging.send(encoded(an_outgoing(), "phone:1"), app=channel._app)
    assert simulator.outcomes.total() == before + 1


def test_a_request_that_has_begun_cannot_be_called_off() -> None:
    hand_over = HandOver(begin_within_seconds=60)
    assert hand_over.begin()
    assert not hand_over.call_off()


def test_a_request_does_not_begin_late() -> None:
    assert not HandOver(begin_within_seconds=-1).begin()


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


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("1.5", 1.5), ("soon", None), ("-3", None), ("inf", None), ("nan", None), ("", None)],
)
def test_retry_after_is_read_where_it_can_be(header: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": header}) == seconds


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after({"Retry-After": later}) == pytest.approx(90, abs=5)
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


def test_a_quota_without_a_time_waits_a_minute() -> None:
    answer = Response()
    answer.status_code = 429
    error = meaning(answer, "phone:1")
    assert isinstance(error, ProviderBusyError)
    assert error.retry_after == 60


def test_a_provider_that_quotes_the_address_does_not_put_it_into_our_text() -> None:
    address = "phone:APA91b-of-an-invented-person"
    answer = Response()
    answer.status_code = 400
    answer._content = json.dumps({"error": {"message": f"{address} is bad", "status": "INVALID_ARGUMENT"}}).encode()
    error = meaning(answer, address)
    assert isinstance(error, MessageRejectedError)
    assert address not in str(error)
    assert "…rson" in error.text
