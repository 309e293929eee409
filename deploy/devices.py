"""A device at a broker with TLS and accounts, by a real paho client; it acknowledges what it gets over HTTP."""

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import httpx2
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

_SECONDS = 20.0
_SESSION_SECONDS = 24 * 3600
_TAKEN = 202
_AT_LEAST_ONCE = 1


class Device:
    def __init__(
        self,
        broker: tuple[str, int],
        authority: Path,
        name: str,
        password: str,
        api: str | None = None,
        *,
        client_id: str | None = None,
    ) -> None:
        """`name` is its account, and its client id where it claims no other. Without an API it only listens."""
        self.name = name
        self.received = 0
        self.acknowledged = 0
        self.foreign = 0
        """Messages on another device's topic: there must be none."""
        self._broker = broker
        self._api = api
        self._answers: dict[int, Future[int]] = {}
        self._subscribed = threading.Event()
        self._arrived = threading.Condition()
        self._sender = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._client = Client(CallbackAPIVersion.VERSION2, client_id or name, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(name, password)
        self._client.tls_set(ca_certs=str(authority))
        self._refusal: ReasonCode | None = None
        self._client.on_connect = lambda _client, _userdata, _flags, reason, _p: self._connected(reason)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _userdata, message: self._take(message)
        self._client.on_publish = lambda _client, _userdata, mid, reason, _p: self._answer(mid).set_result(reason.value)

    def __enter__(self) -> Self:
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho forgot to annotate it
        session.SessionExpiryInterval = _SESSION_SECONDS
        self._client.connect(*self._broker, clean_start=False, properties=session)
        self._client.loop_start()
        subscribed = self._subscribed.wait(_SECONDS)
        if self._refusal:
            self.__exit__()
            raise PermissionError(f"the broker refuses {self.name}: {self._refusal}")
        if not subscribed:
            raise TimeoutError(f"{self.name} has no subscription after {_SECONDS} s")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._sender.shutdown(cancel_futures=True)

    def publish(self, topic: str, payload: bytes = b"{}") -> int:
        """The PUBACK's reason: 0 taken, 16 taken and nobody listens, 135 not permitted."""
        published = self._client.publish(topic, payload, qos=_AT_LEAST_ONCE)
        return self._answer(published.mid).result(_SECONDS)

    def listen(self, topic: str) -> None:
        """Mosquitto grants any subscription, and asks its rules when it delivers."""
        self._subscribed.clear()
        self._client.subscribe(topic, qos=_AT_LEAST_ONCE)
        if not self._subscribed.wait(_SECONDS):
            raise TimeoutError(f"{self.name} has no answer to its subscription")

    def await_received(self, count: int) -> None:
        with self._arrived:
            if not self._arrived.wait_for(lambda: self.received >= count, _SECONDS):
                raise TimeoutError(f"{self.name} has {self.received} of {count} messages")

    def _connected(self, reason: ReasonCode) -> None:
        if reason.is_failure:
            self._refusal = reason
            self._subscribed.set()
        else:
            self._client.subscribe(f"dev/{self.name}/cmd", qos=_AT_LEAST_ONCE)

    def _answer(self, mid: int) -> "Future[int]":
        return self._answers.setdefault(mid, Future())

    def _take(self, message: MQTTMessage) -> None:
        with self._arrived:
            if message.topic == f"dev/{self.name}/cmd":
                self.received += 1
            else:
                self.foreign += 1
            self._arrived.notify_all()
        if self._api:
            self._sender.submit(self._acknowledge, json.loads(message.payload))

    def _acknowledge(self, fields: dict[str, str]) -> None:
        acknowledgement = {
            "message_id": fields["message_id"],
            "received_at": datetime.now(UTC).isoformat(),
            "token": fields["ack_token"],
        }
        answer = httpx2.post(f"{self._api}/api/v1/push/ack", json=acknowledgement, trust_env=False, timeout=10)
        self.acknowledged += answer.status_code == _TAKEN
