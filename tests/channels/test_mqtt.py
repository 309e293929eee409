"""The real paho client in our channel, against our broker, and against mosquitto where it is installed."""

import json
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from uuid import UUID, uuid4

import pytest

from channels.interface import (
    AddressRejectedError,
    AddressUnreachableError,
    Channel,
    MessageRejectedError,
    NotPermittedError,
    OutcomeUnknownError,
    ProviderBusyError,
)
from channels.mqtt import MqttChannel
from channels.payload import payload
from sandbox.certificates import CertificateAuthority
from sandbox.mqtt_broker import Fault, MqttBroker
from sandbox.ports import LOOPBACK, free_port
from tests.channels import conformance
from tests.channels.conformance import IMPATIENT_SECONDS, Accepted, ChannelConformance, an_outgoing
from tests.channels.patience import prepare_patiently
from tests.sandbox.real_mqtt import RealClient, properties_of, running_mosquitto

DEVICE = "till-7"


def closing(channel: MqttChannel) -> Iterator[MqttChannel]:
    yield channel
    channel.close()


@pytest.fixture
def broker() -> Iterator[MqttBroker]:
    with MqttBroker() as broker:
        yield broker


@pytest.fixture
def channel(broker: MqttBroker) -> Iterator[MqttChannel]:
    yield from closing(MqttChannel(broker.url))


@pytest.fixture
def device(broker: MqttBroker) -> Iterator[RealClient]:
    with RealClient(broker.url, DEVICE, session_seconds=300) as device:
        device.subscribe(f"dev/{DEVICE}/cmd")
        yield device


def as_record(client_id: str, body: bytes) -> Accepted:
    fields = json.loads(body)
    ids = UUID(fields["message_id"]), UUID(fields["dedupe_id"])
    return Accepted(client_id, *ids, fields["title"], fields["body"], repeat_id=fields["dedupe_id"])


class OverMqtt(ChannelConformance):
    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def channel(self, url: str) -> Iterator[Channel]:
        yield from closing(MqttChannel(url))

    @pytest.fixture
    def impatient_channel(self, url: str) -> Iterator[Channel]:
        yield from closing(MqttChannel(url, timeout_seconds=IMPATIENT_SECONDS))

    @pytest.fixture
    def disconnected_channel(self) -> Iterator[Channel]:
        yield from closing(MqttChannel(f"mqtt://{LOOPBACK}:{free_port()}", connect_seconds=0.2))


@dataclass
class OurProvider:
    broker: MqttBroker

    def good_address(self) -> str:
        client_id = f"till-{uuid4().hex[:8]}"
        with RealClient(self.broker.url, client_id, session_seconds=300) as device:
            device.subscribe(f"dev/{client_id}/cmd")
        return client_id

    def dead_address(self) -> str:
        return "till-that-never-subscribed"

    def accepted(self, message_id: UUID) -> list[Accepted]:
        return [
            as_record(record.client_id, record.body)
            for record in self.broker.accepted
            if record.message_id == message_id
        ]

    def requests(self) -> int:
        return self.broker.commands_seen

    def fail_next(self, address: str, fault: conformance.Fault) -> None:
        shown = {
            conformance.Fault.BUSY: Fault.QUOTA,
            conformance.Fault.CUT_AFTER_ACCEPT: Fault.CUT,
            conformance.Fault.HANG: Fault.FREEZE,
        }
        self.broker.fail(address, shown[fault], times=1)


class TestConformanceOnOurBroker(OverMqtt):
    @pytest.fixture
    def url(self, broker: MqttBroker) -> str:
        return broker.url

    @pytest.fixture
    def provider(self, broker: MqttBroker) -> OurProvider:
        return OurProvider(broker)


class MosquittoProvider:
    """Knows what was accepted from the devices, which are all connected."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._devices: dict[str, RealClient] = {}
        self._received: list[Accepted] = []

    def good_address(self) -> str:
        client_id = f"till-{uuid4().hex[:8]}"
        self._devices[client_id] = RealClient(self._url, client_id)
        self._devices[client_id].subscribe(f"dev/{client_id}/cmd")
        return client_id

    def dead_address(self) -> str:
        return "till-that-never-subscribed"

    def accepted(self, message_id: UUID) -> list[Accepted]:
        self._collect()
        return [record for record in self._received if record.message_id == message_id]

    def requests(self) -> int:
        self._collect()
        return len(self._received)

    def fail_next(self, address: str, fault: conformance.Fault) -> None:
        raise NotImplementedError

    def close(self) -> None:
        for device in self._devices.values():
            device.leave()

    def _collect(self) -> None:
        for client_id, device in self._devices.items():
            self._received += [as_record(client_id, body) for body in device.bodies_so_far()]


class TestConformanceOnMosquitto(OverMqtt):
    faults: ClassVar[frozenset[conformance.Fault]] = frozenset({conformance.Fault.REFUSED})

    @pytest.fixture
    def url(self, tmp_path: Path) -> Iterator[str]:
        with running_mosquitto(tmp_path) as broker:
            yield broker.url

    @pytest.fixture
    def provider(self, url: str) -> Iterator[MosquittoProvider]:
        provider = MosquittoProvider(url)
        yield provider
        provider.close()


class TestOnTheWire:
    def test_a_device_gets_the_payload_and_what_it_needs_to_answer(
        self, channel: MqttChannel, device: RealClient
    ) -> None:
        message = an_outgoing()
        channel.send(message, DEVICE)
        received = device.next_message()
        assert json.loads(received.payload) == payload(message)
        assert (received.qos, received.retain) == (1, False)
        assert properties_of(received) == {
            "MessageExpiryInterval": 300,
            "ContentType": "application/json",
            "ResponseTopic": f"acks/{DEVICE}",
            "CorrelationData": message.message_id.hex,
        }

    @pytest.mark.parametrize("client_id", ["", "a/b", "+", "till#7", "till\0", "till\n7", "x" * 1_000])
    def test_an_id_that_would_leave_its_topic_is_rejected_before_the_wire(
        self, broker: MqttBroker, channel: MqttChannel, client_id: str
    ) -> None:
        with pytest.raises(AddressRejectedError):
            channel.send(an_outgoing(), client_id)
        assert broker.commands_seen == 0

    def test_a_url_of_another_protocol_is_an_error_at_once(self) -> None:
        with pytest.raises(ValueError, match="mqtt://"):
            MqttChannel("http://broker.example")

    def test_no_session_is_unreachable_and_not_dead(self, channel: MqttChannel) -> None:
        with pytest.raises(AddressUnreachableError) as caught:
            channel.send(an_outgoing(), DEVICE)
        assert caught.value.code == "no_session"

    @pytest.mark.parametrize(
        ("fault", "error", "code"),
        [
            (Fault.QUOTA, ProviderBusyError, "quota_exceeded"),
            (Fault.NOT_AUTHORIZED, NotPermittedError, "not_authorized"),
            (Fault.INVALID, MessageRejectedError, "payload_format_invalid"),
            (Fault.CUT, OutcomeUnknownError, "connection_lost"),
        ],
    )
    @pytest.mark.usefixtures("device")
    def test_a_refusal_is_named_in_the_brokers_words(
        self, broker: MqttBroker, channel: MqttChannel, fault: Fault, error: type[ProviderBusyError], code: str
    ) -> None:
        broker.fail(DEVICE, fault)
        with pytest.raises(error) as caught:
            channel.send(an_outgoing(), DEVICE)
        assert caught.value.code == code

    def test_a_broker_that_takes_few_at_once_gets_few(self) -> None:
        with MqttBroker(receive_max=2) as broker, RealClient(broker.url, DEVICE) as device:
            device.subscribe(f"dev/{DEVICE}/cmd")
            channel = MqttChannel(broker.url, timeout_seconds=1.0)
            broker.fail(DEVICE, Fault.FREEZE)
            with ThreadPoolExecutor(3) as senders:
                sends = [senders.submit(channel.send, an_outgoing(), DEVICE) for _ in range(3)]
                errors = [type(send.exception()) for send in sends]
            channel.close()
            assert sorted(error.__name__ for error in errors) == ["OutcomeUnknownError"] * 2 + ["ProviderBusyError"]
            assert broker.commands_seen == 2


class TestConnecting:
    def test_prepare_waits_for_no_broker_for_ever(self) -> None:
        channel = MqttChannel(f"mqtt://{LOOPBACK}:{free_port()}", connect_seconds=0.1)
        with pytest.raises(ProviderBusyError) as caught:
            channel.prepare()
        assert caught.value.code == "not_connected"
        channel.close()

    def test_a_broker_that_comes_up_later_is_found(self) -> None:
        port = free_port()
        channel = MqttChannel(f"mqtt://{LOOPBACK}:{port}", connect_seconds=0.2)
        with pytest.raises(ProviderBusyError):
            channel.prepare()
        with MqttBroker(port) as broker, RealClient(broker.url, DEVICE) as device:
            device.subscribe(f"dev/{DEVICE}/cmd")
            prepare_patiently(channel)
            channel.send(an_outgoing(), DEVICE)
            assert len(broker.accepted) == 1
        channel.close()

    def test_a_wrong_password_is_our_own_mistake_and_not_the_messages(self) -> None:
        with MqttBroker(users={"drumbeat": "p@ss/word"}) as broker:
            place = broker.url.removeprefix("mqtt://")
            wrong = MqttChannel(f"mqtt://drumbeat:wrong@{place}")
            right = MqttChannel(f"mqtt://drumbeat:p%40ss%2Fword@{place}")
            for attempt in (wrong.prepare, lambda: wrong.send(an_outgoing(), DEVICE)):
                with pytest.raises(NotPermittedError):
                    attempt()
            right.prepare()
            wrong.close()
            right.close()

    # Paho leaves the socket of a failed handshake to the garbage collector, which complains.
    @pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
    def test_an_encrypted_broker_is_trusted_by_its_ca_file_alone(self, tmp_path: Path) -> None:
        authority = CertificateAuthority(tmp_path)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(authority.issue(LOOPBACK))
        with MqttBroker(tls=tls) as broker:
            trusting = MqttChannel(broker.url, ca_file=authority.file)
            trusting.prepare()
            doubting = MqttChannel(broker.url, connect_seconds=0.5)
            with pytest.raises(ProviderBusyError):
                doubting.prepare()
            trusting.close()
            doubting.close()
