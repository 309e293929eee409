"""What a rehearsal comes to."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from domain.measured import ChannelRecord
from domain.states import FailureKind, HoldReason, MessageState


class PaceBasis(StrEnum):
    DECLARED = "declared"
    MEASURED = "measured"
    ASSUMED = "assumed"


class Pace(BaseModel):
    """How fast a channel is spoken to, and who says so."""

    model_config = ConfigDict(frozen=True)

    per_second: float
    basis: PaceBasis


class ChannelForecast(BaseModel):
    model_config = ConfigDict(frozen=True)

    channel: str
    pace: Pace
    tries: int = 0
    sends: int = 0
    """Tries that the provider took, or may have taken."""
    failed: Mapping[FailureKind, int] = Field(default_factory=dict)
    unknown: int = 0
    seconds_at_pace: float = 0
    """What all of its tries take one after the other."""
    first_send: datetime | None = None
    last_send: datetime | None = None
    cost: Decimal | None = None
    """None: the channel does not say what a send costs."""
    currency: str | None = None


class Hour(BaseModel):
    model_config = ConfigDict(frozen=True)

    begins: datetime
    """In the forecast's zone."""
    sends: Mapping[str, int]


class PutOff(BaseModel):
    """Messages that were put off, each counted once a reason."""

    model_config = ConfigDict(frozen=True)

    reason: HoldReason
    messages: int
    until_first: datetime | None
    until_last: datetime | None


class Launched(BaseModel):
    """What launching with care does to the run."""

    model_config = ConfigDict(frozen=True)

    approval_needed: bool = False
    """Taken as given at once."""
    undo_until: datetime | None = None
    canary: int | None = None
    canary_settled_at: datetime | None = None
    others_go_at: datetime | None = None
    would_halt: str | None = None
    """The first threshold that the assumed answers pass, and when; the rehearsal goes on all the same."""
    would_halt_at: datetime | None = None


class Forecast(BaseModel):
    model_config = ConfigDict(frozen=True)

    campaign: str
    starts_at: datetime
    zone: str
    """Of the hours."""
    seed: int
    targeted: int
    ends: Mapping[MessageState, int]
    not_sent: Mapping[str, int]
    """By reason; held out is one."""
    put_off: tuple[PutOff, ...]
    hours: tuple[Hour, ...]
    """Those in which something is sent."""
    channels: tuple[ChannelForecast, ...]
    first_send: datetime | None
    last_send: datetime | None
    last_end: datetime | None
    """From then on nobody is waited for."""
    cost: Mapping[str, Decimal]
    """By currency, of the channels that say what a send costs."""
    launch: Launched
    off: tuple[str, ...] = ()
    """Channels of the campaign that are off."""
    left_out: Mapping[str, int] = Field(default_factory=dict)
    noted: Mapping[str, int] = Field(default_factory=dict)
    measured: tuple[ChannelRecord, ...] = ()
    """What the answers were drawn from."""
    assumed: tuple[str, ...] = ()
    """What the forecast rests on and nobody has measured, in sentences."""


def pace_of(declared: float | None, measured: float | None, assumed: float) -> Pace:
    """The slower of what the channel declares and what our own engine has shown."""
    own = (
        Pace(per_second=measured, basis=PaceBasis.MEASURED)
        if measured
        else Pace(per_second=assumed, basis=PaceBasis.ASSUMED)
    )
    if declared is not None and declared < own.per_second:
        return Pace(per_second=declared, basis=PaceBasis.DECLARED)
    return own
