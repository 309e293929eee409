"""What crosses Temporal's border: ids, words and seconds, never an address or a name. New fields get defaults."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.launching import LaunchOrder

SCHEDULE = "schedule"
"""The actor of what starts by itself."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class RunOrder(_Frozen):
    """Start one run of a campaign; the run's slot stands in the workflow's id."""

    campaign: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    limit: int | None = None
    """Let only so many messages go (`released_up_to`); the others are held until they are released."""
    actor: str = SCHEDULE
    launch: LaunchOrder = LaunchOrder()
    bypass_frequency_caps: bool = False
    """By somebody who may; it is audited."""
    """In place of what the plan says."""
    retry_of: UUID | None = None
    """The run whose failed messages are the audience; None: the campaign's source says who is."""


class OpenOrder(_Frozen):
    workflow_id: str
    run: RunOrder


class OpenedRun(_Frozen):
    run_id: UUID
    batch_size: int
    batches_at_once: int
    measured: bool = False
    """Each subject's outcome is read when its window closes."""
    missed: str | None = None
    """Why it does not begin any more; then there is no run."""


class SurveyOrder(_Frozen):
    run_id: UUID
    batches_under_way: list[int] = Field(default_factory=list)
    may_open: bool = True


class Survey(_Frozen):
    """How a run stands, and what its workflow may do next."""

    state: str
    over: bool = False
    """Nothing is unfinished any more."""
    next_batch: int | None = None
    look_again_seconds: float = 60
    targeted: int | None = None
    states: dict[str, int] = Field(default_factory=dict)
    held: dict[str, int] = Field(default_factory=dict)
    attempts: dict[str, dict[str, int]] = Field(default_factory=dict)
    handed_over: int = 0
    awaiting: int = 0
    clicked: int = 0


class ControlOrder(_Frozen):
    run_id: UUID
    action: str
    """pause, resume or cancel."""
    actor: str = "temporal"
    reason: str | None = None
    policy: str = "shift"
    """Of a resume: a ClockPolicy."""


class MeasureOrder(_Frozen):
    run_id: UUID
    campaign: str


class Measurement(_Frozen):
    """How far the reading of a run's outcomes is."""

    over: bool = False
    look_again_seconds: float = 3600
    read: int = 0
    """Outcomes that this look has read."""


class BatchOrder(_Frozen):
    run_id: UUID
    campaign: str
    number: int


class MessageOrder(_Frozen):
    message_id: UUID
    channel: str
    """Whose queue to ask on first."""


class OpenedBatch(_Frozen):
    messages: list[MessageOrder] = Field(default_factory=list)


class StepKind(StrEnum):
    WAIT = "wait"
    SEND = "send"
    """Ask again at once, on `channel`."""
    DONE = "done"


class NextStep(_Frozen):
    kind: str
    """A StepKind; one that is not known means: ask again in 60 s."""
    channel: str | None = None
    seconds: float | None = None
    """By the database's clock; None: only a nudge can change something."""
    state: str | None = None
    reason: str | None = None


class OpenRun(_Frozen):
    workflow_id: str
    order: RunOrder


class OpenRuns(_Frozen):
    runs: list[OpenRun] = Field(default_factory=list)
    measurements: list[MeasureOrder] = Field(default_factory=list)


class SweepOrder(_Frozen):
    remembered: int | None = None


class SweepReport(_Frozen):
    count: int
    runs_paused: int = 0
    nudged: int = 0


class OverdueMessage(_Frozen):
    message_id: UUID
    channel: str
    ended: bool = False


class OverduePage(_Frozen):
    messages: list[OverdueMessage] = Field(default_factory=list)
