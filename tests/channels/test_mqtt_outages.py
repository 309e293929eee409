"""What becomes of messages when the connection breaks: told once, and never changed behind the caller's back."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from uuid import UUID

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from channels.interface import AddressUnreachableError, ChannelError, OutcomeUnknownError, ProviderBusyError
from channels.mqtt import MqttChannel
from sandbox.mqtt_broker import Fault, MqttBroker
from tests.channels.conformance import IMPATIENT_SECONDS, an_outgoing
from tests.channels.patience import prepare_patiently
from tests.sandbox.real_mqtt import SECONDS, RealClient, running_mosquitto

DEVICE = "till-7"


@pytest.fixture
def broker() -> Iterator[MqttBroker]:
    with MqttBroker() as broker:
        yield broker


@pytest.fixture
def channel(broker: MqttBroker) -> Iterator[MqttChannel]:
    channel = MqttChannel(broker.url)
    yield channel
    channel.close()


@pytest.fixture
def device(broker: MqttBroker) -> Iterator[RealClient]:
    with RealClient(broker.url, DEVICE, session_seconds=300) as device:
        device.subscribe(f"dev/{DEVICE}/cmd")
        yield device


class TestNothingIsSentBehindTheCallersBack:
    """Paho by itself keeps what had no PUBACK, and sends it once more after a reconnect."""

    def test_after_an_outage_only_what_is_sent_anew_arrives(
        self, broker: MqttBroker, channel: MqttChannel, device: RealClient
    ) -> None:
        channel.prepare()
        broker.fail(DEVICE, Fault.FREEZE)
        with ThreadPoolExecutor(1) as sender:
            frozen = sender.submit(channel.send, an_outgoing(), DEVICE)
            broker.await_commands(1)
            broker.stop_listening()
            assert isinstance(frozen.exception(), OutcomeUnknownError)
        with pytest.raises(ProviderBusyError):
            channel.send(an_outgoing(), DEVICE)
        broker.heal()
        broker.start_listening()
        assert_only_the_next_one_arrives(broker, channel)

    def test_a_publish_into_a_connection_that_has_just_died_is_not_kept(
        self, broker: MqttBroker, channel: MqttChannel, device: RealClient
    ) -> None:
        channel.prepare()
        connection = channel._connection
        broker.stop_listening()
        with connection._changed:
            assert connection._changed.wait_for(lambda: not connection._is_open, SECONDS)
            connection._is_open = True  # as in the moment before paho has noticed
            with pytest.raises(ProviderBusyError, match="not_written"):
                channel.send(an_outgoing(), DEVICE)
            connection._is_open = False
        broker.start_listening()
        assert_only_the_next_one_arrives(broker, channel)

    def test_outages_under_load_leave_no_receipt_without_a_message_and_no_refusal_with_one(
        self, broker: MqttBroker, channel: MqttChannel, device: RealClient
    ) -> None:
        ended = Event()
        with ThreadPoolExecutor(10) as senders:
            sending = [senders.submit(send_until, ended, channel) for _ in range(10)]
            for outage in range(1, 4):
                broker.await_commands(outage * 200)
                broker.stop_listening()
                broker.start_listening()
            broker.await_commands(800)
            ended.set()
            outcomes = [outcome for sends in sending for outcome in sends.result()]
        accepted = [record.message_id for record in broker.accepted]
        assert len(set(accepted)) == len(accepted)
        receipts = {message_id for message_id, error in outcomes if error is None}
        not_taken = {message_id for message_id, error in outcomes if isinstance(error, ChannelError)}
        assert receipts <= set(accepted)
        assert not not_taken & set(accepted)

    def test_what_was_given_up_keeps_its_place_until_its_answer_comes(
        self, broker: MqttBroker, device: RealClient
    ) -> None:
        channel = MqttChannel(broker.url, timeout_seconds=0.2)
        channel.prepare()
        broker.fail(DEVICE, Fault.FREEZE)
        with ThreadPoolExecutor(1) as sender:
            frozen = sender.submit(channel.send, an_outgoing(), DEVICE)
            broker.await_commands(1)
            with pytest.raises(AddressUnreachableError):  # an answer: so the connection is kept
                channel.send(an_outgoing(), "nobody")
            assert isinstance(frozen.exception(), OutcomeUnknownError)
        connection = channel._connection
        ((mid, given_up),) = connection._unanswered.items()
        assert given_up.cancelled()
        connection._answered(connection._client, None, mid, ReasonCode(PacketTypes.PUBACK), None)
        assert connection._unanswered == {}
        assert connection._losses == 0
        channel.close()

    def test_a_connection_that_answers_nothing_at_all_is_given_up(self, broker: MqttBroker, device: RealClient) -> None:
        channel = MqttChannel(broker.url, timeout_seconds=0.2)
        channel.prepare()
        broker.fail(DEVICE, Fault.FREEZE, times=1)
        with pytest.raises(OutcomeUnknownError, match="no_puback"):
            channel.send(an_outgoing(), DEVICE)
        prepare_patiently(channel)
        channel.send(message := an_outgoing(), DEVICE)
        assert message_ids(device.bodies_so_far()) == [message.message_id]
        assert channel._connection._losses == 1
        channel.close()

    def test_a_frozen_mosquitto_gets_nothing_twice(self, tmp_path: Path) -> None:
        with running_mosquitto(tmp_path) as mosquitto, RealClient(mosquitto.url, DEVICE) as device:
            device.subscribe(f"dev/{DEVICE}/cmd")
            channel = MqttChannel(mosquitto.url, timeout_seconds=IMPATIENT_SECONDS)
            channel.prepare()
            unknown, known = an_outgoing(), an_outgoing()
            mosquitto.freeze()
            with pytest.raises(OutcomeUnknownError):
                channel.send(unknown, DEVICE)
            mosquitto.thaw()
            prepare_patiently(channel)
            channel.send(known, DEVICE)
            received = message_ids(device.bodies_so_far())
            channel.close()
        assert received.count(unknown.message_id) <= 1
        assert received.count(known.message_id) == 1
        assert len(set(received)) == len(received)


def send_until(ended: Event, channel: MqttChannel) -> list[tuple[UUID, Exception | None]]:
    """What became of each message sent: None is a receipt."""
    outcomes: list[tuple[UUID, Exception | None]] = []
    while not ended.is_set():
        prepare_patiently(channel)
        message = an_outgoing()
        try:
            channel.send(message, DEVICE)
            outcomes.append((message.message_id, None))
        except (ChannelError, OutcomeUnknownError) as error:
            outcomes.append((message.message_id, error))
    return outcomes


def assert_only_the_next_one_arrives(broker: MqttBroker, channel: MqttChannel) -> None:
    prepare_patiently(channel)
    seen_before = broker.commands_seen
    channel.send(message := an_outgoing(), DEVICE)
    assert broker.commands_seen == seen_before + 1
    assert [record.message_id for record in broker.accepted] == [message.message_id]
    with RealClient(broker.url, DEVICE, clean_start=False) as device:
        assert message_ids(device.bodies_so_far()) == [message.message_id]


def message_ids(bodies: list[bytes]) -> list[UUID]:
    return [UUID(json.loads(body)["message_id"]) for body in bodies]
