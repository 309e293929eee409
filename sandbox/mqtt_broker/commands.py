"""What the broker keeps of our own publishes, `dev/{client id}/cmd`, and how it is told to fail them."""

import json
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from uuid import UUID

from mqtt5 import PublishPacket

_COMMAND_TOPIC = re.compile(r"dev/([^/]+)/cmd")


class Fault(StrEnum):
    FREEZE = "freeze"
    """Not taken, and no answer at all."""
    CUT = "cut"
    """Taken, but the publisher's connection breaks before the answer."""
    QUOTA = "quota"
    """Not taken: PUBACK 151."""
    NOT_AUTHORIZED = "not_authorized"
    """Not taken: PUBACK 135."""
    INVALID = "invalid"
    """Not taken: PUBACK 153, the payload is not what was announced."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One publish that the broker took (PUBACK 0, or cut before it)."""

    client_id: str
    """The device that it is for."""
    message_id: UUID | None
    """From the JSON body; None where that cannot be read."""
    body: bytes
    arrived_at: datetime


@dataclass(slots=True)
class _Order:
    fault: Fault
    times: int | None


class FaultBook:
    """Thread-safe. The order given last wins where several patterns match."""

    def __init__(self) -> None:
        self._orders: dict[str, _Order] = {}
        self._lock = threading.Lock()

    def write(self, pattern: str, fault: Fault, times: int | None) -> None:
        with self._lock:
            self._orders.pop(pattern, None)
            self._orders[pattern] = _Order(fault, times)

    def clear(self) -> None:
        with self._lock:
            self._orders.clear()

    def due(self, client_id: str) -> Fault | None:
        """The fault that this publish meets; counts it."""
        with self._lock:
            for pattern in reversed(self._orders):
                if fnmatchcase(client_id, pattern):
                    return self._spend(pattern)
        return None

    def _spend(self, pattern: str) -> Fault:
        order = self._orders[pattern]
        if order.times is not None:
            order.times -= 1
            if order.times <= 0:
                del self._orders[pattern]
        return order.fault


def addressee(topic: str) -> str | None:
    """The device that a command's topic names; None for every other topic."""
    named = _COMMAND_TOPIC.fullmatch(topic)
    return named[1] if named else None


def accepted_now(client_id: str, packet: PublishPacket) -> Accepted:
    return Accepted(client_id, _message_id(packet.payload), packet.payload, datetime.now(UTC))


def _message_id(body: bytes) -> UUID | None:
    try:
        return UUID(json.loads(body)["message_id"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
