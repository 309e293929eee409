"""What every channel is: a name, declared facts, `prepare` and `send`, and six errors that say what comes next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable
from uuid import UUID

from domain.reports import Reported
from domain.states import FailureKind


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What a channel declares about itself; the plan freezes what it needs of it."""

    repeated_as: str | None
    """What makes a repeated try one with the first, for provider or device: both carry the same. None: nothing does,
    so a try whose outcome is not known is not repeated."""
    acknowledges: bool
    """Can the far end acknowledge at all?"""
    timeout_seconds: float
    """The whole of one `send`, connecting included."""
    payload_limit_bytes: int
    per_second: float | None = None
    """How many sends the provider takes; None: as many as we can make."""
    cost: Decimal | None = None
    """Of one send; None: not known."""
    currency: str | None = None
    """Of the cost, by its three letters (ISO 4217)."""

    @property
    def retries_unknown(self) -> bool:
        """Whether a try whose outcome is not known may be repeated."""
        return self.repeated_as is not None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One attempt as it travels. `message_id` is the attempt's id, which acknowledgements name."""

    message_id: UUID
    dedupe_id: UUID
    """The message's own id: the same on all rungs, so that a device shows it once."""
    title: str
    body: str
    sent_at: datetime
    expires_at: datetime
    ttl_seconds: int
    """What is left of the rung's time: the provider need not keep the message longer."""
    ack_token: str
    click_url: str | None = None
    unsubscribe_url: str | None = None
    """GET asks, POST does: fit for a List-Unsubscribe header (RFC 8058)."""
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider has taken the message over. That says nothing about the device."""

    provider_id: str | None


class ChannelError(Exception):
    """A send that did not end in a receipt. `code` is the provider's word, `text` is for the operator."""

    failure: FailureKind

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class ProviderBusyError(ChannelError):
    """Not taken; worth another try after `retry_after` seconds (None: our own back-off)."""

    failure = FailureKind.BUSY

    def __init__(self, code: str, text: str, retry_after: float | None = None) -> None:
        super().__init__(code, text)
        self.retry_after = retry_after


class NotPermittedError(ChannelError):
    """Not taken because of our own credentials or configuration; tried again later, and shown to the operator."""

    failure = FailureKind.NOT_PERMITTED


class AddressRejectedError(ChannelError):
    """Not taken: the address is dead. It is dropped at once."""

    failure = FailureKind.ADDRESS_REJECTED


class AddressUnreachableError(ChannelError):
    """Not taken: nobody is there now. The address stays, the next rung's turn comes at once."""

    failure = FailureKind.UNREACHABLE


class MessageRejectedError(ChannelError):
    """Not taken: the provider refuses what was sent, and always will."""

    failure = FailureKind.MESSAGE_REJECTED


class OutcomeUnknownError(Exception):
    """It may or may not have been taken: the connection broke or time ran out after the request had begun."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Channel(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def facts(self) -> ChannelFacts: ...

    def prepare(self) -> None:
        """All that is slow and can be done before the claim: fresh credentials, an open connection, a rate token.

        Raises ProviderBusyError or NotPermittedError; nothing has been handed over then.
        """

    def send(self, message: Outgoing, address: str) -> Receipt:
        """Hand over one message, within `facts.timeout_seconds`.

        Called from many threads at once. Raises a ChannelError where nothing was taken, OutcomeUnknownError where
        that is not certain.
        """

    def close(self) -> None: ...


@runtime_checkable
class Reporting(Protocol):
    """A channel whose provider can be asked what it has taken; the proof is held against that."""

    def reported(self, since: datetime, until: datetime) -> Iterable[Reported]:
        """All that was taken from `since` up to `until`; raises ProviderBusyError or NotPermittedError."""
