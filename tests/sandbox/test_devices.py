"""The fleet against a real HTTP server, our real broker, and the publishes of a real paho client."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import pytest

from sandbox.devices import Behaviour, Delays, Device, DeviceFleet, DeviceLog
from sandbox.mqtt_broker import MqttBroker
from sandbox.ports import LOOPBACK, free_port
from tests.sandbox.real_mqtt import RealClient

TILL = "till-7"
TOKEN = "fcm-token-of-till-7"
Reached = Callable[[DeviceLog], bool]
QUICK = Delays(slow=0.05, late=0.05, repeat=0.01)


@dataclass
class AckServer:
    """Keeps every acknowledgement, with when it came; answers `statuses` first, then 202."""

    statuses: list[int] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    came_at: list[datetime] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def answer(self, path: str, body: bytes) -> int:
        if path != "/api/v1/push/ack":
            return 404
        self.came_at.append(datetime.now(UTC))
        self.taken.append(json.loads(body))
        return self.statuses.pop(0) if self.statuses else 202


def served(acks: AckServer) -> ThreadingHTTPServer:
    class OneRequest(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = acks.answer(self.path, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer((LOOPBACK, acks.port), OneRequest)
    acks.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    return server


@pytest.fixture
def acks() -> Iterator[AckServer]:
    acks = AckServer()
    server = served(acks)
    yield acks
    server.shutdown()
    server.server_close()


@pytest.fixture
def broker() -> Iterator[MqttBroker]:
    with MqttBroker() as broker:
        yield broker


def a_till(behaviour: Behaviour, **more: timedelta) -> Device:
    return Device(TILL, behaviour, mqtt_client_id=TILL, fcm_token=TOKEN, **more)


def a_push(dedupe_id: UUID | None = None, lives_seconds: float = 300.0) -> dict[str, str]:
    message_id = uuid4()
    return {
        "message_id": str(message_id),
        "dedupe_id": str(dedupe_id or uuid4()),
        "sent_at": datetime.now(UTC).isoformat(),
        "expires_at": (datetime.now(UTC) + timedelta(seconds=lives_seconds)).isoformat(),
        "ack_token": f"token of {message_id}",
        "title": "Check your lock's battery",
        "body": "Amina, the lock at your front door was last checked in May.",
    }


def acknowledged(count: int) -> Reached:
    return lambda log: len(log.acknowledged) == count


def answered(count: int) -> Reached:
    return lambda log: len(log.answers) == count


def publish(broker: MqttBroker, push: dict[str, str]) -> None:
    with RealClient(broker.url, "sender") as sender:
        assert sender.publish(f"dev/{TILL}/cmd", json.dumps(push).encode()) == 0


class TestBehaviours:
    def test_prompt_acknowledges_a_push_in_the_words_of_the_contract(self, broker: MqttBroker, acks: AckServer) -> None:
        push = a_push()
        with DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, broker.url) as fleet:
            fleet.received_by_fcm(TOKEN, push)
            log = fleet.await_log(TILL, acknowledged(1))
        (ack,) = acks.taken
        assert ack == {
            "message_id": push["message_id"],
            "received_at": log.received[0].received_at.isoformat(),
            "token": push["ack_token"],
        }
        assert datetime.fromisoformat(ack["received_at"]).tzinfo

    def test_prompt_acknowledges_a_command_by_mqtt(self, broker: MqttBroker, acks: AckServer) -> None:
        push = a_push()
        with DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, broker.url) as fleet:
            publish(broker, push)
            log = fleet.await_log(TILL, acknowledged(1))
        assert [(received.way, str(received.message_id)) for received in log.received] == [("mqtt", push["message_id"])]

    def test_slow_takes_its_time(self, broker: MqttBroker, acks: AckServer) -> None:
        with DeviceFleet([a_till(Behaviour.SLOW)], acks.url, broker.url, delays=QUICK) as fleet:
            fleet.received_by_fcm(TOKEN, a_push())
            log = fleet.await_log(TILL, acknowledged(1))
        assert acks.came_at[0] - log.received[0].received_at >= timedelta(seconds=QUICK.slow / 2)

    def test_late_acknowledges_after_the_message_has_expired(self, broker: MqttBroker, acks: AckServer) -> None:
        push = a_push(lives_seconds=0.2)
        with DeviceFleet([a_till(Behaviour.LATE)], acks.url, broker.url, delays=QUICK) as fleet:
            fleet.received_by_fcm(TOKEN, push)
            log = fleet.await_log(TILL, acknowledged(1))
        expires_at = datetime.fromisoformat(push["expires_at"])
        assert log.received[0].received_at < expires_at < acks.came_at[0]

    def test_twice_acknowledges_twice_and_shows_once(self, broker: MqttBroker, acks: AckServer) -> None:
        with DeviceFleet([a_till(Behaviour.TWICE)], acks.url, broker.url, delays=QUICK) as fleet:
            fleet.received_by_fcm(TOKEN, a_push())
            log = fleet.await_log(TILL, acknowledged(2))
        assert len(set(log.acknowledged)) == 1
        assert len(log.shown) == 1
        assert acks.taken[0] == acks.taken[1]

    def test_never_receives_and_stays_silent(self, broker: MqttBroker, acks: AckServer) -> None:
        other = Device("till-8", Behaviour.PROMPT, fcm_token="fcm-token-of-till-8")
        with DeviceFleet([a_till(Behaviour.NEVER), other], acks.url, broker.url) as fleet:
            fleet.received_by_fcm(TOKEN, a_push())
            fleet.received_by_fcm("fcm-token-of-till-8", a_push())
            fleet.await_log("till-8", acknowledged(1))
            silent = fleet.log()[TILL]
        assert len(silent.received) == len(silent.shown) == 1
        assert silent.answers == ()

    def test_deaf_to_fcm_hears_only_mqtt(self, broker: MqttBroker, acks: AckServer) -> None:
        push, command = a_push(), a_push()
        with DeviceFleet([a_till(Behaviour.DEAF_TO_FCM)], acks.url, broker.url) as fleet:
            fleet.received_by_fcm(TOKEN, push)
            publish(broker, command)
            log = fleet.await_log(TILL, acknowledged(1))
        assert [str(received.message_id) for received in log.received] == [command["message_id"]]

    def test_offline_has_no_session_and_hears_nothing(self, broker: MqttBroker, acks: AckServer) -> None:
        with DeviceFleet([a_till(Behaviour.OFFLINE)], acks.url, broker.url) as fleet:
            fleet.received_by_fcm(TOKEN, a_push())
            with RealClient(broker.url, "sender") as sender:
                assert sender.publish(f"dev/{TILL}/cmd", b"{}") == 16
            assert fleet.log() == {TILL: DeviceLog(received=(), answers=(), unreadable=0)}


class TestAcknowledging:
    def test_two_attempts_of_one_message_are_shown_once_and_acknowledged_both(
        self, broker: MqttBroker, acks: AckServer
    ) -> None:
        dedupe_id = uuid4()
        with DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, broker.url) as fleet:
            fleet.received_by_fcm(TOKEN, a_push(dedupe_id))
            publish(broker, a_push(dedupe_id))
            log = fleet.await_log(TILL, acknowledged(2))
        assert log.shown == (dedupe_id,)
        assert len(set(log.acknowledged)) == 2

    def test_a_server_in_trouble_is_asked_again(self, broker: MqttBroker, acks: AckServer) -> None:
        acks.statuses = [503, 429]
        with DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, broker.url) as fleet:
            fleet.received_by_fcm(TOKEN, a_push())
            log = fleet.await_log(TILL, acknowledged(1))
        assert [answer.status for answer in log.answers] == [503, 429, 202]

    def test_a_refusal_is_final(self, broker: MqttBroker, acks: AckServer) -> None:
        acks.statuses = [403]
        with DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, broker.url) as fleet:
            fleet.received_by_fcm(TOKEN, a_push())
            fleet.await_log(TILL, answered(1))
            fleet.received_by_fcm(TOKEN, a_push())
            log = fleet.await_log(TILL, acknowledged(1))
        assert [answer.status for answer in log.answers] == [403, 202]

    def test_a_server_that_is_away_is_waited_for(self, broker: MqttBroker) -> None:
        acks = AckServer(port=free_port())
        with DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, broker.url) as fleet:
            fleet.received_by_fcm(TOKEN, a_push())
            fleet.await_log(TILL, answered(1))
            server = served(acks)
            log = fleet.await_log(TILL, acknowledged(1))
            server.shutdown()
            server.server_close()
        assert log.answers[0].status is None
        assert len(acks.taken) == 1

    def test_patience_has_an_end(self, broker: MqttBroker) -> None:
        nowhere = f"http://{LOOPBACK}:{free_port()}"
        with DeviceFleet([a_till(Behaviour.PROMPT)], nowhere, broker.url, ack_tries=2) as fleet:
            fleet.received_by_fcm(TOKEN, a_push())
            fleet.await_log(TILL, answered(2))
            (given_up,) = fleet._acknowledging
            given_up.result(10.0)
            assert [answer.status for answer in fleet.log()[TILL].answers] == [None, None]

    def test_a_clock_that_is_wrong_is_told_as_it_is(self, broker: MqttBroker, acks: AckServer) -> None:
        with DeviceFleet([a_till(Behaviour.PROMPT, clock_error=timedelta(hours=3))], acks.url, broker.url) as fleet:
            fleet.received_by_fcm(TOKEN, a_push())
            fleet.await_log(TILL, acknowledged(1))
        ahead = datetime.fromisoformat(acks.taken[0]["received_at"]) - acks.came_at[0]
        assert timedelta(hours=2, minutes=59) < ahead <= timedelta(hours=3)


class TestFleet:
    def test_all_sessions_are_subscribed_when_it_has_started(self, broker: MqttBroker, acks: AckServer) -> None:
        tills = [Device(f"till-{number}", Behaviour.NEVER, mqtt_client_id=f"till-{number}") for number in range(20)]
        fleet = DeviceFleet(tills, acks.url, broker.url)
        with fleet, RealClient(broker.url, "sender") as sender:
            for till in tills:
                assert sender.publish(f"dev/{till.device_id}/cmd", json.dumps(a_push()).encode()) == 0
            for till in tills:
                fleet.await_log(till.device_id, lambda log: len(log.received) == 1)

    def test_what_is_sent_while_the_fleet_is_away_waits_for_it(self, broker: MqttBroker, acks: AckServer) -> None:
        with DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, broker.url):
            pass
        publish(broker, a_push())
        with DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, broker.url) as fleet:
            fleet.await_log(TILL, acknowledged(1))

    def test_a_broker_outage_is_survived(self, broker: MqttBroker, acks: AckServer) -> None:
        with DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, broker.url) as fleet:
            broker.stop_listening()
            broker.start_listening()
            publish(broker, a_push())
            fleet.await_log(TILL, acknowledged(1))

    def test_foreign_tokens_and_unreadable_messages_do_no_harm(self, broker: MqttBroker, acks: AckServer) -> None:
        with DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, broker.url) as fleet:
            fleet.received_by_fcm("token-of-an-ordinary-phone", a_push())
            fleet.received_by_fcm(TOKEN, {"title": "from another sender"})
            with RealClient(broker.url, "sender") as sender:
                for body in (b"no JSON", b"[]", b"\xff"):
                    sender.publish(f"dev/{TILL}/cmd", body)
            log = fleet.await_log(TILL, lambda log: log.unreadable == 4)
        assert log == DeviceLog(received=(), answers=(), unreadable=4)

    def test_a_stopped_fleet_hears_nothing_and_its_log_stays(self, broker: MqttBroker, acks: AckServer) -> None:
        with DeviceFleet([a_till(Behaviour.SLOW)], acks.url, broker.url, delays=Delays(slow=3600)) as fleet:
            fleet.received_by_fcm(TOKEN, a_push())
        fleet.received_by_fcm(TOKEN, a_push())
        assert len(fleet.log()[TILL].received) == 1
        assert acks.taken == []

    def test_one_seed_gives_the_same_lots(self) -> None:
        lots = [
            [
                life.lot()
                for life in DeviceFleet([a_till(Behaviour.SLOW)], "", "mqtt://broker.example", seed=seed)._lives
            ]
            for seed in (7, 7, 8)
        ]
        assert lots[0] == lots[1] != lots[2]

    def test_a_fleet_without_its_broker_says_who_is_missing(
        self, acks: AckServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sandbox.devices.session._SUBSCRIBE_SECONDS", 0.1)
        fleet = DeviceFleet([a_till(Behaviour.PROMPT)], acks.url, f"mqtt://{LOOPBACK}:{free_port()}")
        with pytest.raises(TimeoutError, match=TILL):
            fleet.start()
