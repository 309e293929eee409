"""Stand-ins for what a test does not want to be about: a channel that does as it is told, a campaign on a list."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from campaigns.campaign import Campaign, Parameters
from channels.interface import ChannelFacts, Outgoing, Receipt
from domain.message import AudiencePage, Message, Recipient, Scan
from domain.outcomes import Reading
from domain.plan import Plan, Rung
from domain.problems import ProblemError
from domain.rules import Cap
from domain.states import Awaited

Behaviour = Callable[[Outgoing, str], None]


def accept(_: Outgoing, __: str) -> None:
    """The provider that always takes it."""


@dataclass
class FakeChannel:
    """Keeps what it accepted. `behave` runs first, and may raise or wait; `before` runs before anything counts."""

    name: str
    behave: Behaviour = accept
    retries_unknown: bool = True
    accepted: list[tuple[Outgoing, str, datetime]] = field(default_factory=list)
    calls: list[tuple[Outgoing, str]] = field(default_factory=list)
    prepared: Callable[[], None] = lambda: None
    slowness: float = 0
    """Seconds from the hand-over to the answer."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def facts(self) -> ChannelFacts:
        repeated_as = "dedupe_id" if self.retries_unknown else None
        return ChannelFacts(repeated_as, acknowledges=True, timeout_seconds=8, payload_limit_bytes=4096)

    def prepare(self) -> None:
        self.prepared()

    def send(self, message: Outgoing, address: str) -> Receipt:
        with self._lock:
            self.calls.append((message, address))
        self.behave(message, address)
        self.take(message, address)
        time.sleep(self.slowness)
        return Receipt(f"{self.name}-{message.message_id}")

    def take(self, message: Outgoing, address: str) -> None:
        with self._lock:
            self.accepted.append((message, address, datetime.now(UTC)))

    def close(self) -> None: ...


class FakeLinks:
    def click_url(self, message_id: UUID) -> str:
        return f"https://click.example/c/{message_id}"

    def unsubscribe_url(self, message_id: UUID) -> str:
        return f"https://click.example/u/{message_id}"

    def ack_token(self, attempt_id: UUID) -> str:
        return f"token-of-{attempt_id}"


class ProbeParameters(Parameters):
    ttl_seconds: Annotated[int, Field(ge=1)] = 3600
    batch_size: int = 100
    cap: int | None = None
    valid_for_seconds: int | None = None
    holdout_percent: float = 0
    measured_for_seconds: float | None = None


@dataclass
class People:
    """A source on a list, in pages of 50."""

    recipients: Sequence[Recipient]
    scans: list[Scan] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """Closed by `clear`: the pages, and whoever reads again, wait for `set`."""
    failure: str | None = None
    done: dict[str, Reading | None] = field(default_factory=dict)
    """By subject, when it was done; never where it is not in it, and gone where it is None."""
    asked_again: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def pages(self, scan: Scan) -> Iterator[AudiencePage]:
        self.scans.append(scan)
        self.gate.wait()
        self._refuse()
        for start in range(int(scan.bookmarks.get("0") or 0), len(self.recipients), 50):
            end = start + 50
            page = tuple(self.recipients[start:end])
            yield AudiencePage(page, {"seen": 1}, {}, ("0", str(end)), self.read([each.subject for each in page]))

    def read(self, subjects: Collection[str]) -> dict[str, Reading]:
        found = {subject: self.done.get(subject, Reading()) for subject in subjects if subject}
        return {subject: reading for subject, reading in found.items() if reading is not None}

    def read_again(self, subjects: Collection[str]) -> dict[str, Reading]:
        self.asked_again.append(list(subjects))
        self.gate.wait()
        self._refuse()
        return self.read(subjects)

    def _refuse(self) -> None:
        if self.failure:
            raise ProblemError(self.failure)


def a_probe(awaits: frozenset[Awaited] = frozenset(Awaited)) -> Campaign[ProbeParameters]:
    def plan(parameters: ProbeParameters) -> Plan:
        return Plan(
            ladder=tuple(Rung(channel=each, ttl_seconds=parameters.ttl_seconds) for each in ("fcm", "mqtt")),
            awaits=awaits,
            batch_size=parameters.batch_size,
            caps=(Cap(count=parameters.cap, days=7),) if parameters.cap else (),
            valid_for_seconds=parameters.valid_for_seconds,
            holdout_percent=parameters.holdout_percent,
            measured_for_seconds=parameters.measured_for_seconds,
            # Times to live are short in tests: a machine that is busy would make fallbacks too late to be sent.
            max_lateness_seconds=600,
        )

    def audience(_: ProbeParameters, people: People, scan: Scan) -> Iterator[AudiencePage]:
        return people.pages(scan)

    def message(recipient: Recipient, _: ProbeParameters) -> Message:
        return Message("Probe", f"for {recipient.id}")

    return Campaign("probe", "Tests the engine.", ProbeParameters, "people", plan, audience, message, People.read_again)


def a_person(
    number: int, *, device: bool = True, channels: Sequence[str] = ("fcm", "mqtt"), subject: str = ""
) -> Recipient:
    """One with a device of ours, which will acknowledge, or with an ordinary phone."""
    name = f"person-{number:04}"
    addresses = {"fcm": (f"token:{name}",)} | ({"mqtt": (f"device-{number:04}",)} if device else {})
    reachable = {channel: own for channel, own in addresses.items() if channel in channels}
    return Recipient(name, subject=subject, addresses=reachable, person_key=name, acknowledges=device)
