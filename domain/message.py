"""Who gets a message, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.outcomes import Reading

Facts = Mapping[str, Any]
"""What the campaign knows of a recipient, as JSON; lists are merged when one person has several rows."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One row of an audience; rows of one id become one message."""

    id: str
    subject: str = ""
    """What this row is about (a lock); tells the rows of one recipient apart."""
    facts: Facts = field(default_factory=dict)
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By channel, in the order in which they are tried."""
    person_key: str | None = None
    """The same in all campaigns; None for a device without an owner, which has no caps."""
    zone: str | None = None
    zone_candidates: tuple[str, ...] = ()
    """Where the zone is not known: those it may be. Nothing is sent but when it is permitted in all of them."""
    language: str | None = None
    acknowledges: bool = False
    """Whether a device of ours will acknowledge; where not, silence is normal."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One walk through a source for one run."""

    as_of: datetime
    """When the run started: what is stale or due counts from here, also in a retry."""
    bookmarks: Mapping[str, str] = field(default_factory=dict)
    """By segment, the place up to which an earlier try's pages are stored."""


@dataclass(frozen=True, slots=True)
class AudiencePage:
    recipients: tuple[Recipient, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Counts by reason of what the source saw and the campaign does not target."""
    noted: Mapping[str, int] = field(default_factory=dict)
    """Counts by reason of what was seen and deserves a look (a value that cannot be read), targeted or not."""
    bookmark: tuple[str, str] | None = None
    """(segment, place): where a retry of the snapshot takes up; place "" when the segment is done."""
    before: Mapping[str, Reading] = field(default_factory=dict)
    """How each subject of these rows stands now, where the campaign measures what becomes of it."""


@dataclass(frozen=True, slots=True)
class Message:
    title: str
    body: str
    data: Mapping[str, str] = field(default_factory=dict)
    """Extra keys for the application; ids only, since devices log them."""
