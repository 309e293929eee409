"""A device's MQTT session, held by a real paho client."""

import threading
from collections.abc import Callable
from typing import Self
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

SESSION_EXPIRY_SECONDS = 24 * 3600
_SUBSCRIBE_SECONDS = 30.0


class DeviceSession:
    """Connects, and comes back by itself after an outage; the broker keeps what is published meanwhile."""

    def __init__(self, broker_url: str, client_id: str, listener: Callable[[bytes], None]) -> None:
        self._place = urlsplit(broker_url)
        self._client_id = client_id
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
        if self._place.username:
            self._client.username_pw_set(unquote(self._place.username), unquote(self._place.password or ""))
        self._client.on_connect = lambda client, *_: client.subscribe(f"dev/{client_id}/cmd", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _userdata, message: listener(bytes(message.payload))

    def __enter__(self) -> Self:
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho forgot to annotate it
        session.SessionExpiryInterval = SESSION_EXPIRY_SECONDS
        self._client.connect_async(
            self._place.hostname or "", self._place.port or 1883, clean_start=False, properties=session
        )
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        """The session itself stays with the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def await_subscribed(self) -> None:
        if not self._subscribed.wait(_SUBSCRIBE_SECONDS):
            raise TimeoutError(f"{self._client_id} has no subscription after {_SUBSCRIBE_SECONDS} s")
