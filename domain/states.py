"""The words for where a run, a message or an attempt stands; one word for one thing, as docs/glossary.md lists them."""

from enum import StrEnum


class RunState(StrEnum):
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    CLOSED = "closed"
    FAILED = "failed"


class MessageState(StrEnum):
    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    WITHDRAWN = "withdrawn"
    HELD_OUT = "held_out"


class AttemptState(StrEnum):
    SENDING = "sending"
    RELEASED = "released"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class FailureKind(StrEnum):
    """What a provider's refusal means for the next step."""

    BUSY = "busy"
    NOT_PERMITTED = "not_permitted"
    ADDRESS_REJECTED = "address_rejected"
    UNREACHABLE = "unreachable"
    MESSAGE_REJECTED = "message_rejected"


class HoldReason(StrEnum):
    """Why an unfinished message does not move."""

    AWAITING = "awaiting"
    IN_FLIGHT = "in_flight"
    PAUSED = "paused"
    NOT_STARTED = "not_started"
    NOT_RELEASED = "not_released"
    PROVIDER_BUSY = "provider_busy"
    HAND_OVER_LIMIT = "hand_over_limit"
    WINDOW = "window"
    QUIET_HOURS = "quiet_hours"
    CAP = "frequency_cap"


PUT_OFF_BY_A_PERSON = frozenset({HoldReason.WINDOW, HoldReason.QUIET_HOURS, HoldReason.CAP})
"""Their own rules; it may take days."""


class Awaited(StrEnum):
    """What ends the wait of a message that was handed over."""

    ACKNOWLEDGEMENT = "acknowledgement"
    CLICK = "click"


UNFINISHED_STATES = frozenset({MessageState.PLANNED, MessageState.SENDING, MessageState.SENT})
RUNS_THAT_SEND = frozenset({RunState.RUNNING, RunState.COMPLETED})
HANDED_OVER = frozenset({AttemptState.SENT, AttemptState.DELIVERED, AttemptState.EXPIRED})
"""Attempts that a provider accepted."""

_LATER_KNOWLEDGE: dict[MessageState, frozenset[MessageState]] = {
    MessageState.EXPIRED: frozenset({MessageState.DELIVERED}),
    MessageState.UNKNOWN: frozenset(
        {MessageState.SENT, MessageState.DELIVERED, MessageState.FAILED, MessageState.PLANNED}
    ),
    MessageState.SENT: frozenset({MessageState.DELIVERED, MessageState.FAILED}),
}


def may_leave_its_end(old: MessageState, new: MessageState) -> bool:
    """Whether a message that has ended in `old` may still become `new` (design, section 3)."""
    return new in _LATER_KNOWLEDGE.get(old, frozenset())
