"""What the simulator accepted, and how every send ended; to be compared with a ledger."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AcceptedPush:
    """One message that the simulator took over, for good."""

    token: str
    """The address, be it a token or an installation id."""
    message_id: str | None
    """The attempt's id, from the message's data."""
    dedupe_id: str | None
    title: str
    body: str
    data: Mapping[str, str]
    collapse_key: str | None
    ttl_seconds: float | None
    apns_headers: Mapping[str, str]
    arrived_at: datetime
    """When the request's body had been read, in UTC."""
    name: str
    """What was answered."""


class PushLog:
    """May be used from any thread."""

    def __init__(self) -> None:
        self._accepted: list[AcceptedPush] = []
        self._outcomes: Counter[str] = Counter()
        self._listeners: list[Callable[[AcceptedPush], None]] = []
        self._changed = threading.Condition()

    def accept(self, push: AcceptedPush) -> None:
        with self._changed:
            self._accepted.append(push)
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(push)

    def count(self, outcome: str) -> None:
        with self._changed:
            self._outcomes[outcome] += 1
            self._changed.notify_all()

    def listen(self, listener: Callable[[AcceptedPush], None]) -> Callable[[], None]:
        """What ends it."""
        with self._changed:
            self._listeners.append(listener)

        def end() -> None:
            with self._changed:
                self._listeners.remove(listener)

        return end

    def wait_for(self, outcome: str, times: int, timeout_seconds: float) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._outcomes[outcome] >= times, timeout_seconds):
                raise TimeoutError(f"{outcome}: {self._outcomes[outcome]} of {times} sends in {timeout_seconds} s")

    @property
    def accepted(self) -> list[AcceptedPush]:
        with self._changed:
            return list(self._accepted)

    @property
    def outcomes(self) -> Counter[str]:
        with self._changed:
            return Counter(self._outcomes)
