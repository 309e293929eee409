"""What a campaign is: data with three hooks. One file in this folder is one campaign."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from domain.message import AudiencePage, Message, Recipient, Scan
from domain.missed import MissedRuns
from domain.outcomes import Reading
from domain.plan import Plan


class Parameters(BaseModel):
    """What a run may set; each campaign declares its own, with defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When runs start by themselves, and what becomes of those that could not."""

    cron: str
    zone: str = "UTC"
    missed: MissedRuns = MissedRuns()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Campaign(Generic[P]):
    name: str
    purpose: str
    """One sentence for operators: who gets what, and why."""
    parameters: type[P]
    source: str
    """The source whose read-only view `audience` is given."""
    plan: Callable[[P], Plan]
    """The ladder, and the rules of sending."""
    audience: Callable[[P, Any, Scan], Iterable[AudiencePage]]
    """Who is targeted, page by page; the second argument is the source."""
    message: Callable[[Recipient, P], Message]
    read_again: Callable[[Any, Collection[str]], Mapping[str, Reading]] | None = None
    """How these subjects stand now, out of the source; one that is gone is left out. None: nothing is measured.

    With it, and with `measured_for_seconds` in the plan, each subject's outcome is read when its window closes.
    """
    schedule: Schedule | None = None
