"""What the simulator can be made to do with a send, by the address it goes to."""

import re
import threading
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """Each is also a word that an address may contain: all sends to `tok-dead:1` meet UNREGISTERED."""

    DEAD = "dead"
    """404 UNREGISTERED."""
    MISMATCH = "mismatch"
    """403 SENDER_ID_MISMATCH."""
    QUOTA = "quota"
    """429 QUOTA_EXCEEDED with Retry-After."""
    INVALID = "invalid"
    """400 INVALID_ARGUMENT that blames message.token."""
    DENIED = "denied"
    """401 THIRD_PARTY_AUTH_ERROR."""
    ERROR500 = "error500"
    """500 INTERNAL; nothing accepted, which the client cannot know."""
    ERROR502 = "error502"
    """502 and a page, as from something on the way."""
    BUSY503 = "busy503"
    """503 UNAVAILABLE."""
    MOVED = "moved"
    """307 to the same place."""
    SLOW = "slow"
    """Accepted, and answered, after a while."""
    DRIBBLE = "dribble"
    """Accepted at once, and answered byte by byte for a while."""
    HANG = "hang"
    """Never answered, never accepted."""
    CUT = "cut"
    """Accepted, then the connection breaks without an answer."""
    GARBAGE = "garbage"
    """Accepted, and answered 200 with a page."""


@dataclass(slots=True)
class _Order:
    pattern: str
    fault: Fault
    times: int | None


class FaultPlan:
    """Faults by command go before faults by word; the newest command first. May be used from any thread."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []
        self._lock = threading.Lock()

    def fail(self, pattern: str, fault: Fault, times: int | None) -> None:
        with self._lock:
            self._orders.insert(0, _Order(pattern, fault, times))

    def heal(self, pattern: str) -> None:
        with self._lock:
            self._orders = [order for order in self._orders if order.pattern != pattern]

    def next_for(self, address: str) -> Fault | None:
        """The fault of this send, which is used up by asking."""
        with self._lock:
            for order in self._orders:
                if order.pattern in address:
                    self._use_up(order)
                    return order.fault
        return _fault_by_word(address)

    def _use_up(self, order: _Order) -> None:
        if order.times is None:
            return
        order.times -= 1
        if order.times == 0:
            self._orders.remove(order)


def _fault_by_word(address: str) -> Fault | None:
    # Whole words, so that the random part of a token does not meet a fault by chance.
    words = re.split(r"[^a-z0-9]+", address.lower())
    return next((fault for fault in Fault if fault in words), None)
