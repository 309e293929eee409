"""A probe with the real paho client: our broker must answer as mosquitto does, and both are asked."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from sandbox.mqtt_broker import Fault, MqttBroker
from tests.sandbox.real_mqtt import SECONDS, RealClient, properties_of, running_mosquitto

NO_MATCHING_SUBSCRIBERS = 16
NOT_AUTHORIZED = 135
SESSION_TAKEN_OVER = 142
QUOTA_EXCEEDED = 151
PAYLOAD_FORMAT_INVALID = 153
NO_SUBSCRIPTION_EXISTED = 17


@pytest.fixture
def broker() -> Iterator[MqttBroker]:
    with MqttBroker() as broker:
        yield broker


@pytest.fixture(params=["ours", "mosquitto"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "ours":
        with MqttBroker() as broker:
            yield broker.url
    else:
        with running_mosquitto(tmp_path) as broker:
            yield broker.url


class TestAsMosquittoDoes:
    def test_a_publish_reaches_its_subscriber_and_is_acknowledged(self, url: str) -> None:
        with RealClient(url, "till-7") as device, RealClient(url, "sender") as sender:
            assert device.subscribe("dev/till-7/cmd") == 1
            assert sender.publish("dev/till-7/cmd", b"hello") == 0
            message = device.next_message()
            assert (message.topic, message.payload, message.qos) == ("dev/till-7/cmd", b"hello", 1)

    def test_nobody_there_is_said_in_the_puback(self, url: str) -> None:
        with RealClient(url, "sender") as sender:
            assert sender.publish("dev/till-7/cmd", b"hello") == NO_MATCHING_SUBSCRIBERS

    @pytest.mark.parametrize(
        ("pattern", "topic", "matches"),
        [
            ("acks/+", "acks/till-7", True),
            ("acks/+", "acks/till-7/more", False),
            ("acks/#", "acks", True),
            ("acks/#", "acks/till-7/more", True),
            ("+/till-7/cmd", "dev/till-7/cmd", True),
            ("dev/till-7/cmd", "dev/till-8/cmd", False),
            ("#", "dev/till-8/cmd", True),
        ],
    )
    def test_filters_match_by_level(self, url: str, pattern: str, topic: str, *, matches: bool) -> None:
        with RealClient(url, "listener") as listener, RealClient(url, "sender") as sender:
            listener.subscribe(pattern)
            assert (sender.publish(topic, b"x") == 0) is matches

    def test_the_lower_qos_of_publish_and_subscription_holds(self, url: str) -> None:
        with RealClient(url, "listener") as listener, RealClient(url, "sender") as sender:
            assert listener.subscribe("news/sure", qos=1) == 1
            assert listener.subscribe("news/maybe", qos=0) == 0
            sender.publish("news/sure", b"0", qos=0)
            sender.publish("news/maybe", b"1", qos=1)
            assert [listener.next_message().qos for _ in range(2)] == [0, 0]

    def test_all_properties_arrive(self, url: str) -> None:
        with RealClient(url, "till-7") as device, RealClient(url, "sender") as sender:
            device.subscribe("dev/till-7/cmd")
            sender.publish(
                "dev/till-7/cmd",
                b"{}",
                ContentType="application/json",
                ResponseTopic="acks/till-7",
                CorrelationData=b"\x00\xff",
                UserProperty=[("campaign", "lock"), ("campaign", "battery")],
            )
            assert properties_of(device.next_message()) == {
                "ContentType": "application/json",
                "ResponseTopic": "acks/till-7",
                "CorrelationData": "00ff",
                "UserProperty": [("campaign", "lock"), ("campaign", "battery")],
            }

    def test_a_session_waits_for_its_device(self, url: str) -> None:
        with RealClient(url, "till-7", session_seconds=300) as device:
            assert not device.session_present
            device.subscribe("dev/till-7/cmd")
        with RealClient(url, "sender") as sender:
            assert sender.publish("dev/till-7/cmd", b"one") == 0
            assert sender.publish("dev/till-7/cmd", b"two") == 0
        with RealClient(url, "till-7", clean_start=False) as device:
            assert device.session_present
            assert [device.next_message().payload for _ in range(2)] == [b"one", b"two"]

    def test_a_session_without_expiry_ends_with_its_connection(self, url: str) -> None:
        with RealClient(url, "till-7") as device:
            device.subscribe("dev/till-7/cmd")
        with RealClient(url, "sender") as sender, RealClient(url, "till-7", clean_start=False) as device:
            assert not device.session_present
            assert sender.publish("dev/till-7/cmd", b"one") == NO_MATCHING_SUBSCRIBERS

    def test_a_clean_start_throws_the_session_away(self, url: str) -> None:
        with RealClient(url, "till-7", session_seconds=300) as device:
            device.subscribe("dev/till-7/cmd")
        with RealClient(url, "till-7", clean_start=True) as device, RealClient(url, "sender") as sender:
            assert not device.session_present
            assert sender.publish("dev/till-7/cmd", b"one") == NO_MATCHING_SUBSCRIBERS

    def test_what_expired_while_the_device_was_away_is_dropped_and_the_rest_says_what_is_left(self, url: str) -> None:
        with RealClient(url, "till-7", session_seconds=300) as device:
            device.subscribe("dev/till-7/cmd")
        with RealClient(url, "sender") as sender:
            sender.publish("dev/till-7/cmd", b"short", MessageExpiryInterval=1)
            sender.publish("dev/till-7/cmd", b"long", MessageExpiryInterval=600)
        time.sleep(2.1)  # mosquitto counts in whole seconds, and there is no event to wait for
        with RealClient(url, "till-7", clean_start=False) as device:
            message = device.next_message()
            assert message.payload == b"long"
            assert 500 < properties_of(message)["MessageExpiryInterval"] < 600

    def test_a_second_connection_takes_the_session_over(self, url: str) -> None:
        with RealClient(url, "till-7", session_seconds=300) as first:
            first.subscribe("dev/till-7/cmd")
            with RealClient(url, "till-7", clean_start=False, session_seconds=300) as second:
                first.disconnected.result(SECONDS)
                assert second.session_present
                with RealClient(url, "sender") as sender:
                    assert sender.publish("dev/till-7/cmd", b"hello") == 0
                assert second.next_message().payload == b"hello"

    def test_a_shared_subscription_splits_the_work(self, url: str) -> None:
        with RealClient(url, "one") as one, RealClient(url, "two") as two, RealClient(url, "sender") as sender:
            for member in (one, two):
                member.subscribe("$share/ackers/acks/+")
            for number in range(10):
                sender.publish(f"acks/till-{number}", str(number).encode())
            shares = one.bodies_so_far(), two.bodies_so_far()
            assert sorted(len(share) for share in shares) == [5, 5]
            assert sorted(shares[0] + shares[1]) == [str(number).encode() for number in range(10)]

    def test_a_shared_subscription_and_an_own_one_each_get_a_copy(self, url: str) -> None:
        with RealClient(url, "worker") as worker, RealClient(url, "sender") as sender:
            worker.subscribe("$share/ackers/acks/+")
            worker.subscribe("acks/#")
            sender.publish("acks/till-7", b"ack")
            assert worker.bodies_so_far() == [b"ack", b"ack"]

    def test_a_retained_message_greets_those_who_come_later(self, url: str) -> None:
        with RealClient(url, "sender") as sender, RealClient(url, "listener") as listener:
            sender.publish("presence/till-7", b"online", retain=True)
            sender.publish("presence/till-8", b"online", retain=True)
            sender.publish("presence/till-8", b"", retain=True)
            listener.subscribe("presence/+")
            message = listener.next_message()
            assert (message.topic, message.payload, message.retain) == ("presence/till-7", b"online", True)
            assert listener.bodies_so_far() == []

    def test_the_last_will_follows_a_cut_and_not_a_farewell(self, url: str) -> None:
        with RealClient(url, "listener") as listener:
            listener.subscribe("presence/+")
            RealClient(url, "till-7", will=("presence/till-7", b"offline")).leave()
            with RealClient(url, "till-8", will=("presence/till-8", b"offline")) as device:
                device.cut()
            assert listener.next_message().topic == "presence/till-8"
            assert listener.bodies_so_far() == []

    def test_what_was_not_acknowledged_comes_again(self, url: str) -> None:
        with RealClient(url, "till-7", session_seconds=300) as device, RealClient(url, "sender") as sender:
            device.subscribe("dev/till-7/cmd")
            device.acknowledge_nothing()
            sender.publish("dev/till-7/cmd", b"hello")
            assert not device.next_message().dup
            device.cut()
        with RealClient(url, "till-7", clean_start=False) as device:
            message = device.next_message()
            assert (message.payload, message.dup) == (b"hello", True)

    def test_after_unsubscribing_nothing_comes(self, url: str) -> None:
        with RealClient(url, "till-7") as device:
            device.subscribe("dev/till-7/cmd")
            assert device.unsubscribe("dev/till-7/cmd") == 0
            assert device.unsubscribe("dev/till-7/cmd") == NO_SUBSCRIPTION_EXISTED
            assert device.publish("dev/till-7/cmd", b"hello") == NO_MATCHING_SUBSCRIBERS

    def test_no_local_keeps_own_messages_away(self, url: str) -> None:
        with RealClient(url, "till-7") as device:
            device.subscribe("chat", noLocal=True)
            device.publish("chat", b"my own")
            assert device.bodies_so_far() == []

    def test_a_client_that_falls_silent_is_dropped_and_its_will_sent(self, url: str) -> None:
        with RealClient(url, "listener") as listener:
            listener.subscribe("presence/+")
            silent = RealClient(url, "till-7", keep_alive=1, will=("presence/till-7", b"offline"))
            silent.fall_silent()
            assert listener.next_message().payload == b"offline"
            silent.leave()


class TestFaultsAndRecords:
    def test_every_command_taken_is_on_record(self, broker: MqttBroker) -> None:
        message_id = uuid4()
        with RealClient(broker.url, "till-7") as device:
            device.subscribe("#")
            device.publish("dev/till-7/cmd", b'{"message_id": "%s"}' % str(message_id).encode())
            device.publish("dev/till-7/cmd", b"no JSON")
            device.publish("dev/till-7/cmd", b"QoS 0", qos=0)
            device.publish("acks/till-7", b"no command")
        assert [(record.client_id, record.message_id) for record in broker.accepted] == [
            ("till-7", message_id),
            ("till-7", None),
        ]
        assert all(record.arrived_at.tzinfo for record in broker.accepted)

    def test_what_nobody_wants_is_not_on_record(self, broker: MqttBroker) -> None:
        with RealClient(broker.url, "sender") as sender:
            sender.publish("dev/till-7/cmd", b"{}")
        assert broker.accepted == ()
        assert broker.commands_seen == 1

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (Fault.QUOTA, QUOTA_EXCEEDED),
            (Fault.NOT_AUTHORIZED, NOT_AUTHORIZED),
            (Fault.INVALID, PAYLOAD_FORMAT_INVALID),
        ],
    )
    def test_a_refusal_takes_nothing_and_ends_after_its_times(
        self, broker: MqttBroker, fault: Fault, reason: int
    ) -> None:
        with RealClient(broker.url, "till-7") as device:
            device.subscribe("dev/+/cmd")
            broker.fail("till-*", fault, times=2)
            assert [device.publish("dev/till-7/cmd", b"{}") for _ in range(3)] == [reason, reason, 0]
            assert device.publish("dev/kiosk-1/cmd", b"{}") == 0
        assert len(broker.accepted) == 2

    def test_a_cut_takes_the_message_and_not_the_device(self, broker: MqttBroker) -> None:
        with RealClient(broker.url, "till-7") as device, RealClient(broker.url, "sender") as sender:
            device.subscribe("dev/till-7/cmd")
            broker.fail("till-7", Fault.CUT)
            sender.send_without_waiting("dev/till-7/cmd", b"{}")
            sender.disconnected.result(SECONDS)
            assert device.next_message().payload == b"{}"
        assert len(broker.accepted) == 1

    def test_a_freeze_takes_nothing_and_healing_ends_it(self, broker: MqttBroker) -> None:
        with RealClient(broker.url, "till-7") as device:
            device.subscribe("dev/+/cmd")
            broker.fail("till-7", Fault.FREEZE)
            device.send_without_waiting("dev/till-7/cmd", b"{}")
            assert device.publish("dev/till-8/cmd", b"{}") == 0
            broker.heal()
            assert device.publish("dev/till-7/cmd", b"{}") == 0
        assert [record.client_id for record in broker.accepted] == ["till-8", "till-7"]

    def test_an_outage_breaks_connections_and_keeps_sessions(self, broker: MqttBroker) -> None:
        with RealClient(broker.url, "till-7", session_seconds=300) as device:
            device.subscribe("dev/till-7/cmd")
            port = broker.port
            broker.stop_listening()
            device.disconnected.result(SECONDS)
            with pytest.raises(ConnectionRefusedError):
                RealClient(broker.url, "sender")
            broker.start_listening()
            assert broker.port == port
            with RealClient(broker.url, "sender") as sender:
                assert sender.publish("dev/till-7/cmd", b"{}") == 0

    def test_a_client_that_is_taken_over_hears_why(self, broker: MqttBroker) -> None:
        with RealClient(broker.url, "till-7") as first, RealClient(broker.url, "till-7"):
            assert first.disconnected.result(SECONDS) == SESSION_TAKEN_OVER

    def test_only_known_users_get_in(self) -> None:
        with MqttBroker(users={"drumbeat": "invented"}) as broker:
            assert RealClient(broker.url, "sender").refusal == 134
            with RealClient(broker.url.replace("//", "//drumbeat:invented@"), "sender") as sender:
                assert sender.refusal == 0
