"""One MQTT 5 connection by paho for many senders, and never a publish that its sender was told has failed."""

import socket
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from channels.interface import NotPermittedError, OutcomeUnknownError, ProviderBusyError

IN_FLIGHT_LIMIT = 100
"""Publishes without a PUBACK at one time; fewer where the broker says so."""
PLACE_SECONDS = 0.5
"""How long a publish waits for its place among those: short, since its claim has been made."""
KEEP_ALIVE_SECONDS = 15
RECONNECT_SECONDS = (1, 10)
"""The first pause before a new connection, and the longest."""
PAYLOAD_LIMIT_BYTES = 65_536
HEADROOM_BYTES = 1_024
"""Topic and properties, on top of the payload, where a broker limits the whole packet."""

_AT_LEAST_ONCE = 1
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_CREDENTIALS_REFUSED = frozenset({133, 134, 135, 138, 140})
"""In a CONNACK: client id, password, authorization, banned, authentication method."""


class MqttConnection:
    """Keeps paho from sending what it could not deliver once more after a reconnect.

    The caller has been told by then that it failed, and may have gone another way. So paho's store is emptied before
    a new connection is used, and what was put there in between is not counted as written. Paho's callbacks take our
    lock while paho holds its own: so paho is never called under ours.
    """

    def __init__(self, url: str, ca_file: Path | None, client_id: str, connect_seconds: float) -> None:
        self.payload_limit = PAYLOAD_LIMIT_BYTES
        self._connect_seconds = connect_seconds
        self._changed = threading.Condition()
        self._started = False
        self._is_open = False
        self._was_open = False
        self._refused: ReasonCode | None = None
        self._losses = 0
        self._in_flight_limit = IN_FLIGHT_LIMIT
        self._being_written = 0
        self._unanswered: dict[int, Future[ReasonCode]] = {}
        """By packet id. What was given up stays, cancelled, until its PUBACK or the connection's end."""
        self._answered_at = 0.0
        self._host, self._port, self._client = _client(url, ca_file, client_id)
        self._client.connect_timeout = connect_seconds
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_publish = self._answered

    def await_open(self) -> None:
        """Connects the first time; later it waits for paho, which reconnects by itself."""
        with self._changed:
            first, self._started = not self._started, True
        if first:
            self._client.connect_async(self._host, self._port, KEEP_ALIVE_SECONDS, clean_start=True)
            self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._is_open or self._refused is not None, self._connect_seconds)
            self._check_open()

    def publish(self, topic: str, body: bytes, properties: Properties, timeout_seconds: float) -> ReasonCode:
        """The PUBACK's reason. Raises ProviderBusyError where nothing was written, else OutcomeUnknownError."""
        began_at = time.monotonic()
        if not self._was_open:
            self.await_open()
        mid, answer = self._write(topic, body, properties)
        try:
            return answer.result(timeout_seconds - (time.monotonic() - began_at))
        except TimeoutError:
            if not self._give_up(answer):  # it came in this very moment
                return answer.result()
            self._distrust(since=began_at)
            raise OutcomeUnknownError("no_puback", f"no PUBACK within {timeout_seconds} s") from None
        finally:
            self._forget(mid, answer)

    def close(self) -> None:
        self._client.disconnect()
        self._client.drop_out_messages()  # paho's thread would wait for them
        self._client.loop_stop()

    def _write(self, topic: str, body: bytes, properties: Properties) -> tuple[int, Future[ReasonCode]]:
        losses = self._take_place()
        try:
            published = self._client.publish(topic, body, _AT_LEAST_ONCE, properties=properties)
        finally:
            with self._changed:
                self._being_written -= 1
        if published.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ProviderBusyError("not_written", f"paho did not write it: {published.rc.name}")
        with self._changed:
            answer = self._unanswered.setdefault(published.mid, Future())
            if losses != self._losses and answer.cancel():
                raise OutcomeUnknownError("connection_lost", "the connection ended while it was written")
        return published.mid, answer

    def _take_place(self) -> int:
        """How often the connection had been lost when this place was taken."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_open or self._has_room(), PLACE_SECONDS)
            self._check_open()
            if not self._has_room():
                raise ProviderBusyError("in_flight_full", f"{self._in_flight_limit} publishes await their PUBACK")
            self._being_written += 1
            return self._losses

    def _has_room(self) -> bool:
        return self._being_written + len(self._unanswered) < self._in_flight_limit

    def _check_open(self) -> None:
        place = f"{self._host}:{self._port}"
        if self._is_open:
            return
        if self._refused is None:
            raise ProviderBusyError("not_connected", f"no connection to {place}")
        kind = NotPermittedError if self._refused.value in _CREDENTIALS_REFUSED else ProviderBusyError
        raise kind(code_of(self._refused), f"{place} refuses the connection: {self._refused}")

    def _give_up(self, answer: Future[ReasonCode]) -> bool:
        with self._changed:
            return answer.cancel()

    def _forget(self, mid: int, answer: Future[ReasonCode]) -> None:
        with self._changed:
            if not answer.cancelled() and self._unanswered.get(mid) is answer:
                del self._unanswered[mid]
            self._changed.notify()

    def _distrust(self, since: float) -> None:
        """Ends a connection that answered nothing at all: what still waits in its buffers must not go out later."""
        with self._changed:
            if self._answered_at >= since:
                return
            self._is_open = False
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with suppress(OSError):  # it is closed already
                sock.shutdown(socket.SHUT_RDWR)

    def _connected(
        self, client: Client, _userdata: object, _flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        client.drop_out_messages()
        with self._changed:
            self._is_open = not reason.is_failure
            self._was_open = self._was_open or self._is_open
            self._refused = reason if reason.is_failure else None
            self._in_flight_limit = min(IN_FLIGHT_LIMIT, getattr(properties, "ReceiveMaximum", IN_FLIGHT_LIMIT))
            packet_limit = getattr(properties, "MaximumPacketSize", PAYLOAD_LIMIT_BYTES + HEADROOM_BYTES)
            self.payload_limit = min(PAYLOAD_LIMIT_BYTES, packet_limit - HEADROOM_BYTES)
            self._changed.notify_all()

    def _disconnected(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        text = f"the connection ended before the PUBACK: {reason}"
        with self._changed:
            self._is_open = False
            self._losses += 1
            for answer in self._unanswered.values():
                if not answer.done():
                    answer.set_exception(OutcomeUnknownError("connection_lost", text))
            self._unanswered.clear()
            self._changed.notify_all()

    def _answered(
        self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        """The PUBACK may overtake the return of paho's `publish`: whoever comes first makes the entry."""
        with self._changed:
            self._answered_at = time.monotonic()
            answer = self._unanswered.setdefault(mid, Future())
            if answer.cancelled():
                del self._unanswered[mid]
                self._changed.notify()
            else:
                answer.set_result(reason)


def code_of(reason: ReasonCode) -> str:
    """`Not authorized` as `not_authorized`."""
    return reason.getName().lower().replace(" ", "_")


def _client(url: str, ca_file: Path | None, client_id: str) -> tuple[str, int, Client]:
    """Host, port and the client, not connected yet. Raises ValueError for a URL that is none of ours."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("the MQTT URL must be mqtt://[user:password@]host[:port] or mqtts://…")
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5)
    if parts.username:
        client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
    if parts.scheme == "mqtts":
        client.tls_set(ca_certs=str(ca_file) if ca_file else None)
    client.reconnect_delay_set(*RECONNECT_SECONDS)
    client.max_inflight_messages_set(0)  # else paho queues, and writes when we have given up
    return parts.hostname, parts.port or _PORTS[parts.scheme], client
