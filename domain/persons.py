"""What is known of a person when a message to them is decided; domain/arbiter.py says what follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

PERSON = "person"
"""In place of a channel: the hash is of a person's key, and covers all their addresses."""


@dataclass(frozen=True, slots=True, order=True)
class RecentSend:
    """Another message that was, or may have been, handed over to this person."""

    at: datetime
    priority: int
    """Of the run that sent it."""


@dataclass(frozen=True, slots=True)
class PersonFacts:
    zone: str | None = None
    zone_candidates: tuple[str, ...] = ()
    """Where the zone is not known: those it may be."""
    is_person: bool = True
    """Whether it is known whose message it is: a device without an owner has no caps and no quiet hours."""
    recent_sends: tuple[RecentSend, ...] = ()
    """The oldest first, whatever became of them."""
    rejected: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Addresses by channel that a provider has called dead."""
    suppressed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By channel and address, why the person or an operator wants nothing sent there."""
    suppressed_because: str | None = None
    """Why nothing may be sent to them at all."""
    consents: Mapping[str, bool] = field(default_factory=dict)
    """What they said of the plan's purpose, by channel; ANY_CHANNEL: of all that are not named."""


ANY_CHANNEL = "*"
