"""The real paho client made blocking, and the real mosquitto where it is installed: what our broker is held against."""

import queue
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from sandbox.ports import LOOPBACK, free_port

SECONDS = 10.0
"""How long anything may take before the test fails."""


class RealClient:
    """One connection of a paho client, which does not come back by itself."""

    def __init__(
        self,
        url: str,
        client_id: str,
        *,
        clean_start: bool = True,
        session_seconds: int = 0,
        keep_alive: int = 60,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.session_present = False
        self.disconnected: Future[int] = Future()
        self._connected: Future[int] = Future()
        self._answers: queue.Queue[tuple[int, int]] = queue.Queue()
        self._messages: queue.Queue[MQTTMessage] = queue.Queue()
        self._client_id = client_id
        self._paho = Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
        )
        self._paho.on_connect = self._on_connect
        self._paho.on_disconnect = lambda _c, _u, _f, reason, _p: self._on_disconnect(reason.value)
        self._paho.on_message = lambda _c, _u, message: self._messages.put(message)
        self._paho.on_publish = lambda _c, _u, mid, reason, _p: self._answers.put((mid, reason.value))
        self._paho.on_subscribe = lambda _c, _u, mid, reasons, _p: self._answers.put((mid, reasons[0].value))
        self._paho.on_unsubscribe = lambda _c, _u, mid, reasons, _p: self._answers.put((mid, reasons[0].value))
        if will:
            self._paho.will_set(will[0], will[1], qos=1)
        session = _properties(PacketTypes.CONNECT, SessionExpiryInterval=session_seconds)
        place = urlsplit(url)
        if place.username:
            self._paho.username_pw_set(place.username, place.password)
        self._paho.connect(
            place.hostname or "", place.port or 0, keep_alive, clean_start=clean_start, properties=session
        )
        self._paho.loop_start()
        self.refusal = self._connected.result(SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def subscribe(self, pattern: str, qos: int = 1, **options: bool | int) -> int:
        mid = self._paho.subscribe(pattern, options=SubscribeOptions(qos=qos, **options))[1]  # type: ignore[arg-type] # a dict of both kinds
        return self._answer_to(mid)

    def unsubscribe(self, pattern: str) -> int:
        return self._answer_to(self._paho.unsubscribe(pattern)[1])

    def publish(
        self, topic: str, body: bytes = b"", *, qos: int = 1, retain: bool = False, **properties: object
    ) -> int:
        """The PUBACK's reason."""
        packed = _properties(PacketTypes.PUBLISH, **properties)
        return self._answer_to(self._paho.publish(topic, body, qos, retain, packed).mid)

    def send_without_waiting(self, topic: str, body: bytes) -> None:
        self._paho.publish(topic, body, qos=1)

    def acknowledge_nothing(self) -> None:
        self._paho.manual_ack_set(on=True)

    def next_message(self) -> MQTTMessage:
        return self._messages.get(timeout=SECONDS)

    def bodies_so_far(self) -> list[bytes]:
        """All that the broker has sent until now: it keeps the order, so a message to ourselves comes after it."""
        fence = f"fence/{self._client_id}"
        self.subscribe(fence)
        self.publish(fence, b"here")
        messages = iter(self.next_message, None)
        return [bytes(m.payload) for m in _until(messages, fence)]

    def cut(self) -> None:
        """No DISCONNECT: as if the device had lost its network."""
        sock = self._paho.socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)
        self.disconnected.result(SECONDS)

    def fall_silent(self) -> None:
        """The connection stays, but nothing is said any more, not even that we live."""
        self._paho.loop_stop()

    def leave(self) -> None:
        self._paho.disconnect()
        self._paho.drop_out_messages()
        self._paho.loop_stop()

    def _answer_to(self, mid: int | None) -> int:
        answered, reason = self._answers.get(timeout=SECONDS)
        assert answered == mid
        return reason

    def _on_connect(self, _client: object, _userdata: object, flags: object, reason: object, _props: object) -> None:
        self.session_present = bool(flags.session_present)  # type: ignore[attr-defined] # ConnectFlags
        self._connected.set_result(reason.value)  # type: ignore[attr-defined] # ReasonCode

    def _on_disconnect(self, reason: int) -> None:
        if not self.disconnected.done():  # paho may tell it twice
            self.disconnected.set_result(reason)


class Mosquitto:
    """The real broker on a free port; what it keeps survives a restart that was not a kill."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = binary
        self._port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self._port} {LOOPBACK}\n"
            "allow_anonymous true\nuser root\nmax_queued_messages 0\n"
            f"persistence true\npersistence_location {folder}/\nlog_dest none\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://{LOOPBACK}:{self._port}"

    def start(self) -> None:
        self._process = subprocess.Popen([self._binary, "-c", str(self._config)])  # noqa: S603 - our own arguments
        while self._process.poll() is None:
            with suppress(ConnectionRefusedError), socket.create_connection((LOOPBACK, self._port), SECONDS):
                return
        pytest.fail("mosquitto ended at once")

    def freeze(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._running().terminate()
        self._running().wait(SECONDS)

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process
        return self._process


@contextmanager
def running_mosquitto(folder: Path) -> Iterator[Mosquitto]:
    """Skips the test where mosquitto is not installed."""
    binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
    if binary is None:
        pytest.skip("mosquitto is not installed here")
    broker = Mosquitto(binary, folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def properties_of(message: MQTTMessage) -> dict[str, Any]:
    """By name; bytes as hexadecimal digits."""
    assert message.properties
    properties: dict[str, Any] = message.properties.json()  # type: ignore[no-untyped-call] # paho forgot to annotate it
    return properties


def _properties(packet_type: int, **values: object) -> Properties:
    properties = Properties(packet_type)  # type: ignore[no-untyped-call] # paho forgot to annotate it
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _until(messages: Iterator[MQTTMessage], topic: str) -> Iterator[MQTTMessage]:
    for message in messages:
        if message.topic == topic:
            return
        yield message
