"""What every channel must do, whatever its provider: subclass ChannelConformance and supply its fixtures.

A provider that cannot show a fault leaves it out of `faults`; the scenarios of that fault are then skipped by name.
"""

import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Protocol
from uuid import UUID, uuid4

import pytest

from channels.interface import (
    AddressRejectedError,
    AddressUnreachableError,
    Channel,
    ChannelError,
    MessageRejectedError,
    OutcomeUnknownError,
    Outgoing,
    ProviderBusyError,
)

LONGEST_SEND_SECONDS = 8.0
"""The design's limit for one send, on all channels (2a, rule 3)."""
IMPATIENT_SECONDS = 1.0
"""The whole time-out of `impatient_channel`."""


class Fault(StrEnum):
    """What a provider can be made to do with the next send to an address."""

    BUSY = "busy"
    """Refuses for now: nothing accepted."""
    CUT_AFTER_ACCEPT = "cut after accept"
    """Accepts, then breaks the connection without an answer."""
    HANG = "hang"
    """Never answers; whether it accepts is its own affair."""
    REFUSED = "connection refused"
    """Nobody listens. Shown by `disconnected_channel`, never asked of the provider."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One message that the provider took over, read from the wire by the provider."""

    address: str
    message_id: UUID
    dedupe_id: UUID
    title: str
    body: str
    repeat_id: str | None = field(default=None, compare=False)
    """What stood where the channel's `repeated_as` points."""


class Provider(Protocol):
    """The simulator, seen by the suite."""

    def good_address(self) -> str:
        """An address that works, another one at each call; whoever must listen there is listening already."""

    def dead_address(self) -> str:
        """An address that nobody will ever answer at."""

    def accepted(self, message_id: UUID) -> list[Accepted]:
        """All that was accepted for one attempt, in order. Waits for what is still on its way in."""

    def requests(self) -> int:
        """How many sends arrived on the wire until now, whatever became of them."""

    def fail_next(self, address: str, fault: Fault) -> None:
        """The next send to this address shows the fault; the one after that works again."""


class ChannelConformance:
    """The suite. Not collected itself: pytest takes classes by their name, and this one does not begin with Test."""

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault)
    busy_retry_after: ClassVar[float | None] = None
    """What `ProviderBusyError.retry_after` must say after Fault.BUSY."""

    @pytest.fixture
    def provider(self) -> Provider:
        raise NotImplementedError

    @pytest.fixture
    def channel(self, provider: Provider) -> Channel:
        raise NotImplementedError

    @pytest.fixture
    def impatient_channel(self, provider: Provider) -> Channel:
        """The same, with a time-out of IMPATIENT_SECONDS. Needed for Fault.HANG alone."""
        raise NotImplementedError

    @pytest.fixture
    def disconnected_channel(self) -> Channel:
        """The same, pointed at a port where nobody listens. Needed for Fault.REFUSED alone."""
        raise NotImplementedError

    def test_a_good_send_gives_a_receipt_and_is_accepted_once(self, channel: Channel, provider: Provider) -> None:
        message, address = an_outgoing(), provider.good_address()
        channel.prepare()
        channel.send(message, address)
        (accepted,) = provider.accepted(message.message_id)
        assert accepted == as_accepted(message, address)

    def test_markup_emoji_and_bengali_arrive_unchanged(self, channel: Channel, provider: Provider) -> None:
        message = replace(an_outgoing(), title="<b>Amina & Søren</b> 🔋", body='ব্যাটারি কম: "২০%" \\ 👩🏽‍🔧\nনতুন লাইন')
        channel.send(message, address := provider.good_address())
        assert provider.accepted(message.message_id) == [as_accepted(message, address)]

    def test_a_repeated_try_is_one_with_the_first_by_what_the_channel_declares(
        self, channel: Channel, provider: Provider
    ) -> None:
        if channel.facts.repeated_as is None:
            pytest.skip("nothing makes its tries one, so that none is repeated")
        first, another, address = an_outgoing(), an_outgoing(), provider.good_address()
        again = replace(first, message_id=uuid4())
        for message in (first, again, another):
            channel.send(message, address)
        tries = [provider.accepted(message.message_id)[0] for message in (first, again, another)]
        assert tries[0].repeat_id
        assert (tries[0].repeat_id, tries[0].dedupe_id) == (tries[1].repeat_id, tries[1].dedupe_id)
        assert tries[0].repeat_id != tries[2].repeat_id

    def test_twenty_sends_at_once_are_twenty_records(self, channel: Channel, provider: Provider) -> None:
        messages = [an_outgoing() for _ in range(20)]
        addresses = [provider.good_address() for _ in messages]
        with ThreadPoolExecutor(len(messages)) as senders:
            list(senders.map(channel.send, messages, addresses))
        for message, address in zip(messages, addresses, strict=True):
            assert provider.accepted(message.message_id) == [as_accepted(message, address)]

    def test_a_dead_address_is_refused_and_nothing_is_accepted(self, channel: Channel, provider: Provider) -> None:
        message, address = an_outgoing(), provider.dead_address()
        with pytest.raises((AddressRejectedError, AddressUnreachableError)) as caught:
            channel.send(message, address)
        assert provider.accepted(message.message_id) == []
        assert_tells_an_operator(caught.value, address)

    def test_a_busy_provider_is_asked_once(self, channel: Channel, provider: Provider) -> None:
        self._needs(Fault.BUSY)
        message, address = an_outgoing(), provider.good_address()
        provider.fail_next(address, Fault.BUSY)
        before = provider.requests()
        with pytest.raises(ProviderBusyError) as caught:
            channel.send(message, address)
        assert provider.requests() == before + 1
        assert provider.accepted(message.message_id) == []
        assert caught.value.retry_after == self.busy_retry_after
        assert_tells_an_operator(caught.value, address)

    def test_a_send_works_again_after_the_provider_was_busy(self, channel: Channel, provider: Provider) -> None:
        self._needs(Fault.BUSY)
        message, address = an_outgoing(), provider.good_address()
        provider.fail_next(address, Fault.BUSY)
        with pytest.raises(ProviderBusyError):
            channel.send(message, address)
        channel.send(message, address)
        assert len(provider.accepted(message.message_id)) == 1

    def test_a_refused_connection_means_that_nothing_was_taken(self, request: pytest.FixtureRequest) -> None:
        self._needs(Fault.REFUSED)
        disconnected: Channel = request.getfixturevalue("disconnected_channel")
        address = "nobody:at-this-address-of-the-conformance-suite"
        with pytest.raises(ProviderBusyError) as caught:
            disconnected.send(an_outgoing(), address)
        assert_tells_an_operator(caught.value, address)
        with pytest.raises(ProviderBusyError):
            disconnected.prepare()

    def test_a_connection_cut_after_accept_leaves_the_outcome_unknown(
        self, channel: Channel, provider: Provider
    ) -> None:
        self._needs(Fault.CUT_AFTER_ACCEPT)
        message, address = an_outgoing(), provider.good_address()
        provider.fail_next(address, Fault.CUT_AFTER_ACCEPT)
        before = provider.requests()
        with pytest.raises(OutcomeUnknownError) as caught:
            channel.send(message, address)
        assert provider.requests() == before + 1
        assert provider.accepted(message.message_id) == [as_accepted(message, address)]
        assert_tells_an_operator(caught.value, address)

    def test_a_provider_that_never_answers_leaves_the_outcome_unknown_in_time(
        self, request: pytest.FixtureRequest, provider: Provider
    ) -> None:
        self._needs(Fault.HANG)
        impatient: Channel = request.getfixturevalue("impatient_channel")
        impatient.prepare()
        provider.fail_next(address := provider.good_address(), Fault.HANG)
        before, begun = provider.requests(), time.monotonic()
        with pytest.raises(OutcomeUnknownError) as caught:
            impatient.send(an_outgoing(), address)
        # Not a matter of speed: a time-out of a library's own (10, 60, 120 s) or a hidden retry would show here.
        assert time.monotonic() - begun < LONGEST_SEND_SECONDS / 2
        assert provider.requests() == before + 1
        assert_tells_an_operator(caught.value, address)

    def test_too_large_a_payload_never_reaches_the_wire(self, channel: Channel, provider: Provider) -> None:
        message = replace(an_outgoing(), body="x" * channel.facts.payload_limit_bytes)
        before = provider.requests()
        with pytest.raises(MessageRejectedError) as caught:
            channel.send(message, address := provider.good_address())
        assert provider.requests() == before
        assert_tells_an_operator(caught.value, address)

    def test_the_facts_keep_the_limits_of_the_design(self, channel: Channel) -> None:
        assert channel.name
        assert channel.name == channel.name.lower()
        assert 0 < channel.facts.timeout_seconds <= LONGEST_SEND_SECONDS
        assert channel.facts.payload_limit_bytes > 0

    def test_prepare_may_be_called_before_every_send(self, channel: Channel, provider: Provider) -> None:
        before = provider.requests()
        channel.prepare()
        channel.prepare()
        assert provider.requests() == before

    def test_a_channel_may_be_closed_twice_and_before_its_first_send(self, channel: Channel) -> None:
        channel.close()
        channel.close()

    def test_a_channel_may_be_closed_after_a_send(self, channel: Channel, provider: Provider) -> None:
        channel.send(an_outgoing(), provider.good_address())
        channel.close()
        channel.close()

    def _needs(self, fault: Fault) -> None:
        if fault not in self.faults:
            pytest.skip(f"this provider cannot show: {fault}")


def an_outgoing() -> Outgoing:
    """A message of an invented campaign, with ids of its own."""
    sent_at = datetime.now(UTC)
    return Outgoing(
        message_id=uuid4(),
        dedupe_id=uuid4(),
        title="Check your lock's battery",
        body="Amina, the lock at your front door was last checked in May.",
        sent_at=sent_at,
        expires_at=sent_at + timedelta(minutes=5),
        ttl_seconds=300,
        ack_token="ack-token-of-the-suite",
        click_url="https://clicks.lock.example/c/conformance",
        data={"campaign": "lock_battery"},
    )


def as_accepted(message: Outgoing, address: str) -> Accepted:
    return Accepted(address, message.message_id, message.dedupe_id, message.title, message.body)


def assert_tells_an_operator(error: ChannelError | OutcomeUnknownError, address: str) -> None:
    """A code and a text, and the whole address nowhere: not in the error, and not in what caused it."""
    assert error.code
    assert len(error.text) > len("too short")
    assert address not in "".join(traceback.format_exception(error))
