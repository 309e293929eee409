"""A run's frozen plan: what was decided before the first message, and travels with the run ever after."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from domain.rules import Cap, ConsentRule, Frozen, NeverOpensError, QuietHours, SendWindow, permitted_hours
from domain.states import Awaited

MAX_BATCH_SIZE = 200
LONGEST_TTL_SECONDS = 28 * 24 * 3600
"""What FCM keeps a message for at most."""


HIGHEST_PRIORITY = 9

HoldoutPercent = Annotated[float, Field(ge=0, lt=100, allow_inf_nan=False)]
"""Below 100: a campaign that holds everybody out sends nothing to anybody."""


def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last: a folder of zones
        return False
    return True


def _a_zone(name: str) -> str:
    if not is_zone(name):
        raise ValueError(f"{name!r} is not a time zone; use a name such as Europe/Berlin")
    return name


Zone = Annotated[str, AfterValidator(_a_zone)]


class Rung(Frozen):
    """One way to reach a person, and how long to wait for an answer before the next."""

    channel: str
    ttl_seconds: Annotated[int, Field(gt=0, le=LONGEST_TTL_SECONDS)]
    max_tries: Annotated[int, Field(gt=0)] = 20
    """Tries that a busy provider puts off, before the next rung; with our back-off they span three hours."""
    max_unknown: Annotated[int, Field(gt=0)] = 3
    """Tries whose outcome is not known, where they may be repeated, before the next rung."""
    retries_unknown: bool = False
    """Declared by the channel: may a try whose outcome is not known be repeated?"""
    repeated_as: str | None = None
    """Declared too: what makes a repeated try one with the first."""

    @property
    def ttl(self) -> timedelta:
        return timedelta(seconds=self.ttl_seconds)


CanaryPercent = Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False)]
LONGEST_UNDO = 30 * 24 * 3600
UndoSeconds = Annotated[int, Field(gt=0, le=LONGEST_UNDO)]


class Launch(Frozen):
    """What has to happen before a run sends to everybody."""

    canary_percent: CanaryPercent | None = None
    """This share goes first; None: everybody at once."""
    canary_watch_seconds: Annotated[int, Field(ge=0)] = 600
    """For so long after all of the canary were handed over, the others wait, and go unless a threshold was passed."""
    undo_seconds: UndoSeconds | None = None
    """Between the snapshot and the first send: time to think again."""
    approval_above: Annotated[int, Field(ge=0)] | None = None
    """A run with more messages waits until somebody else than who started it approves."""


Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]


class Halt(Frozen):
    """Thresholds at which a run pauses by itself, and says which figure it was."""

    failure_percent: Percent | None = None
    """More failed than this, of all whose handing over was tried and has an outcome."""
    acknowledged_percent: Percent | None = None
    """Fewer acknowledged than this, of those who were to and whose time is up."""
    complaint_percent: Percent | None = None
    """More complaints than this (unsubscribed by this run's messages), of what a provider took."""
    after: Annotated[int, Field(ge=1)] = 50
    """No share is looked at before so many messages are in it."""


class Plan(Frozen):
    ladder: Annotated[tuple[Rung, ...], Field(min_length=1)]
    awaits: frozenset[Awaited] = frozenset()
    window: SendWindow | None = None
    zone: Zone = "UTC"
    """Of a recipient whose own is not known; left out, the operator's own."""
    quiet_hours: QuietHours | None = None
    """Left out, the operator's own apply; None: none."""
    caps: tuple[Cap, ...] = ()
    priority: Annotated[int, Field(ge=0, le=HIGHEST_PRIORITY)] = 5
    """Caps count what campaigns of the same or a higher priority have sent."""
    bypass_frequency_caps: bool = False
    """Set for one run, by somebody who may."""
    consent: ConsentRule | None = None
    launch: Launch = Launch()
    """What it leaves out is as the operator says, and so for `halt`; None: none."""
    halt: Halt = Halt()
    valid_for_seconds: Annotated[int, Field(gt=0)] | None = None
    """No hand-over later than this after the run's start, in wall time."""
    max_lateness_seconds: Annotated[int, Field(ge=0)] | None = None
    """How late a fallback may be, in run time; None: one ttl of the rung that it follows."""
    holdout_percent: HoldoutPercent = 0
    """Share of the audience that is left unsent, by groups."""
    measured_for_seconds: Annotated[float, Field(gt=0)] | None = None
    """The window after each hand-over in which an outcome counts; None: nothing is measured."""
    batch_size: Annotated[int, Field(gt=0, le=MAX_BATCH_SIZE)] = 100
    batches_at_once: Annotated[int, Field(gt=0, le=8)] = 2

    @model_validator(mode="after")
    def _each_channel_once(self) -> Self:
        channels = [rung.channel for rung in self.ladder]
        if len(channels) != len(set(channels)):
            raise ValueError(f"ladder {channels} names a channel twice: each channel is one rung")
        return self

    @model_validator(mode="after")
    def _may_send_at_all(self) -> Self:
        try:
            permitted_hours(self.window, self.quiet_hours)
        except NeverOpensError as error:
            raise ValueError(str(error)) from error
        return self

    def unmeasured(self) -> Self:
        """Of a run whose subjects are measured in another one, where lots were drawn too."""
        return self.model_copy(update={"holdout_percent": 0, "measured_for_seconds": None})

    @property
    def later_rungs(self) -> timedelta:
        """The longest that is waited after the first rung's time is up."""
        return sum((rung.ttl for rung in self.ladder[1:]), timedelta())

    def rung(self, channel: str) -> Rung:
        return next(rung for rung in self.ladder if rung.channel == channel)

    def first_channel(self, addresses: Mapping[str, Sequence[str]]) -> str:
        """The first rung on which somebody can be reached at all, else the first."""
        reachable = (rung.channel for rung in self.ladder if addresses.get(rung.channel))
        return next(reachable, self.ladder[0].channel)
