"""One device: how it behaves, and what it remembers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal
from uuid import UUID

from sandbox.people import Behaviour

Way = Literal["fcm", "mqtt"]

_DEAF: Mapping[Way, frozenset[Behaviour]] = {
    "fcm": frozenset({Behaviour.DEAF_TO_FCM, Behaviour.OFFLINE}),
    "mqtt": frozenset({Behaviour.OFFLINE}),
}
_TAKEN = range(200, 300)


@dataclass(frozen=True, slots=True)
class Device:
    device_id: str
    behaviour: Behaviour
    mqtt_client_id: str | None = None
    fcm_token: str | None = None
    clock_error: timedelta = timedelta()
    """How far its clock is ahead."""

    def hears(self, way: Way) -> bool:
        return self.behaviour not in _DEAF[way]


@dataclass(frozen=True, slots=True)
class Delays:
    """Of acknowledgements, in seconds."""

    slow: float = 2.0
    """Half as much to half as much again, by lot."""
    late: float = 1.0
    """After the message's `expires_at`."""
    repeat: float = 0.2
    """Between the first and the second of two."""


@dataclass(frozen=True, slots=True)
class Received:
    message_id: UUID
    dedupe_id: UUID
    way: Way
    received_at: datetime
    """By the device's clock."""
    expires_at: datetime
    ack_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said to one try of an acknowledgement."""

    message_id: UUID
    status: int | None
    """None: no connection, or no answer in time."""


@dataclass(frozen=True, slots=True)
class DeviceLog:
    """What happened at one device, in order; to be compared with the ledger."""

    received: tuple[Received, ...]
    answers: tuple[Answer, ...]
    unreadable: int
    """Messages without the fields of the contract."""

    @property
    def shown(self) -> tuple[UUID, ...]:
        """What the person saw, by `dedupe_id`: each message once, however many attempts arrived."""
        return tuple(dict.fromkeys(received.dedupe_id for received in self.received))

    @property
    def acknowledged(self) -> tuple[UUID, ...]:
        """The attempts whose acknowledgement the API took, as often as it did."""
        return tuple(answer.message_id for answer in self.answers if answer.status in _TAKEN)


class Life:
    """A device's records, and its lots. The fleet guards it with its lock."""

    def __init__(self, device: Device, delays: Delays, lots: Random) -> None:
        self.device = device
        self._delays = delays
        self._lots = lots
        self._received: list[Received] = []
        self._answers: list[Answer] = []
        self._unreadable = 0

    def take(self, way: Way, fields: Mapping[str, str]) -> Received | None:
        """None where the fields are not those of the contract."""
        try:
            received = Received(
                message_id=UUID(fields["message_id"]),
                dedupe_id=UUID(fields["dedupe_id"]),
                way=way,
                received_at=datetime.now(UTC) + self.device.clock_error,
                expires_at=datetime.fromisoformat(fields["expires_at"]),
                ack_token=fields["ack_token"],
            )
        except (KeyError, ValueError, TypeError, AttributeError):
            self._unreadable += 1
            return None
        self._received.append(received)
        return received

    def ack_delays(self, received: Received) -> list[float]:
        """When it will acknowledge, in seconds from now; nothing where it stays silent."""
        match self.device.behaviour:
            case Behaviour.NEVER:
                return []
            case Behaviour.SLOW:
                return [self._delays.slow * self.lot()]
            case Behaviour.LATE:
                left = (received.expires_at - datetime.now(UTC)).total_seconds()
                return [max(left, 0.0) + self._delays.late]
            case Behaviour.TWICE:
                return [0.0, self._delays.repeat]
            case _:
                return [0.0]

    def lot(self) -> float:
        """Around 1, so that a crowd does not move in one step."""
        return self._lots.uniform(0.5, 1.5)

    def answered(self, answer: Answer) -> None:
        self._answers.append(answer)

    def log(self) -> DeviceLog:
        return DeviceLog(tuple(self._received), tuple(self._answers), self._unreadable)
