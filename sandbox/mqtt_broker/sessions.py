"""A client's session: what it subscribed to, what waits for it, and what it has not acknowledged yet."""

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from typing import Protocol, Self

import mqtt5
from mqtt5 import PublishPacket, QoS

from sandbox.mqtt_broker.subscriptions import Subscription

NEVER = 0xFFFFFFFF
"""A session expiry that never comes."""
_LAST_PACKET_ID = 65_535


@dataclass(frozen=True, slots=True)
class Publication:
    """A publish as it came in, and when it is worth nothing any more (by the loop's clock)."""

    packet: PublishPacket
    expires_at: float | None

    @classmethod
    def arrived(cls, packet: PublishPacket, now: float) -> Self:
        expiry = packet.message_expiry_interval
        return cls(packet, None if expiry is None else now + expiry)

    def is_expired(self, now: float) -> bool:
        return self.expires_at is not None and now >= self.expires_at


@dataclass(frozen=True, slots=True)
class Delivery:
    """A publication on its way to one client."""

    publication: Publication
    qos: QoS
    retain: bool

    def packet(self, packet_id: int | None, now: float, *, duplicate: bool = False) -> PublishPacket:
        """As it goes out, with what is left of its expiry interval."""
        source = self.publication.packet
        expires_at = self.publication.expires_at
        return PublishPacket(
            source.topic,
            source.payload,
            qos=self.qos,
            retain=self.retain,
            packet_id=packet_id,
            duplicate=duplicate,
            payload_format_indicator=source.payload_format_indicator,
            message_expiry_interval=None if expires_at is None else math.ceil(expires_at - now),
            content_type=source.content_type,
            response_topic=source.response_topic,
            correlation_data=source.correlation_data,
            user_properties=source.user_properties,
        )


class Link(Protocol):
    """The connection that a session is served by."""

    receive_max: int

    def write(self, packet: mqtt5.Packet) -> None: ...

    def take_over(self) -> None: ...


class Session:
    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.expiry_seconds = 0
        self.expiry_timer: asyncio.TimerHandle | None = None
        self.link: Link | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self._queue: deque[Delivery] = deque()
        self._in_flight: dict[int, Delivery] = {}
        self._last_packet_id = 0

    def attach(self, link: Link, now: float) -> None:
        """Sends again what was not acknowledged, then what has waited."""
        self.link = link
        for packet_id, delivery in list(self._in_flight.items()):
            if delivery.publication.is_expired(now):
                del self._in_flight[packet_id]
            else:
                link.write(delivery.packet(packet_id, now, duplicate=True))
        self._send_waiting(now)

    def deliver(self, delivery: Delivery, now: float) -> None:
        """QoS 0 goes to those who are there; QoS 1 waits for the others."""
        if delivery.qos == QoS.AT_LEAST_ONCE:
            self._queue.append(delivery)
            self._send_waiting(now)
        elif self.link:
            self.link.write(delivery.packet(None, now))

    def acknowledged(self, packet_id: int, now: float) -> None:
        self._in_flight.pop(packet_id, None)
        self._send_waiting(now)

    def _send_waiting(self, now: float) -> None:
        while self.link and self._queue and len(self._in_flight) < self.link.receive_max:
            delivery = self._queue.popleft()
            if not delivery.publication.is_expired(now):
                packet_id = self._free_packet_id()
                self._in_flight[packet_id] = delivery
                self.link.write(delivery.packet(packet_id, now))

    def _free_packet_id(self) -> int:
        while True:
            self._last_packet_id = self._last_packet_id % _LAST_PACKET_ID + 1
            if self._last_packet_id not in self._in_flight:
                return self._last_packet_id
