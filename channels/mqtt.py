"""Devices by MQTT 5: a command for each, and the broker's PUBACK says at once where nobody has a session."""

import json
from pathlib import Path
from uuid import uuid4

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from channels.interface import (
    AddressRejectedError,
    AddressUnreachableError,
    ChannelError,
    ChannelFacts,
    MessageRejectedError,
    NotPermittedError,
    Outgoing,
    ProviderBusyError,
    Receipt,
)
from channels.mqtt_connection import PAYLOAD_LIMIT_BYTES, MqttConnection, code_of
from channels.payload import payload

ADDRESS_LIMIT = 256
_REFUSED = 128
"""Reason codes from here on are refusals."""
_NO_SUBSCRIBERS = 16
_NOT_AUTHORIZED = 135
_BUSY = frozenset({128, 131, 145, 151})
"""Unspecified, implementation specific, packet id in use, quota: nothing of it blames the message."""


class MqttChannel:
    """A device's address is its MQTT client id; `url` is `mqtt://user:password@host:port` or `mqtts://…`."""

    name = "mqtt"

    def __init__(
        self,
        url: str,
        ca_file: Path | None = None,
        client_id_prefix: str = "drumbeat",
        timeout_seconds: float = 8.0,
        connect_seconds: float = 3.0,
    ) -> None:
        self.facts = ChannelFacts(
            repeated_as="dedupe_id",
            acknowledges=True,
            timeout_seconds=timeout_seconds,
            payload_limit_bytes=PAYLOAD_LIMIT_BYTES,
        )
        self._connection = MqttConnection(url, ca_file, f"{client_id_prefix}-{uuid4().hex[:12]}", connect_seconds)

    def prepare(self) -> None:
        self._connection.await_open()

    def send(self, message: Outgoing, address: str) -> Receipt:
        topic = f"dev/{_checked(address)}/cmd"
        body = json.dumps(payload(message), ensure_ascii=False).encode()
        if len(body) > self._connection.payload_limit:
            raise MessageRejectedError("payload_too_large", f"{len(body)} of {self._connection.payload_limit} bytes")
        reason = self._connection.publish(topic, body, _properties(message, address), self.facts.timeout_seconds)
        if error := _refusal(reason):
            raise error
        return Receipt(provider_id=None)

    def close(self) -> None:
        self._connection.close()


def _checked(client_id: str) -> str:
    """A client id that stays inside its level of the topic, and that no broker drops the connection for."""
    if not client_id or len(client_id) > ADDRESS_LIMIT or not client_id.isprintable() or set("/+#") & set(client_id):
        raise AddressRejectedError("client_id_not_valid", f"not an MQTT client id: {len(client_id)} characters")
    return client_id


def _properties(message: Outgoing, address: str) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho forgot to annotate it
    properties.MessageExpiryInterval = message.ttl_seconds
    properties.ContentType = "application/json"
    properties.CorrelationData = message.message_id.bytes
    properties.ResponseTopic = f"acks/{address}"
    return properties


def _refusal(reason: ReasonCode) -> ChannelError | None:
    """None: the broker took it."""
    text = f"PUBACK {reason.value}: {reason}"
    if reason.value == _NO_SUBSCRIBERS:
        return AddressUnreachableError("no_session", text)
    if reason.value < _REFUSED:
        return None
    if reason.value == _NOT_AUTHORIZED:
        return NotPermittedError(code_of(reason), text)
    return (ProviderBusyError if reason.value in _BUSY else MessageRejectedError)(code_of(reason), text)
