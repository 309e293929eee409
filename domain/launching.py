"""Launching with care: what a run waits for before it sends to everybody, and the figures at which it pauses."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from math import ceil

from domain.plan import CanaryPercent, Halt, Launch, Plan, UndoSeconds
from domain.rules import Frozen


class Gate(StrEnum):
    """What a run waits for, paused, between its snapshot and its first send; in this order."""

    APPROVAL = "approval"
    UNDO = "undo"


class LaunchOrder(Frozen):
    """What somebody asks for when they start a run, in place of what its plan says."""

    canary_percent: CanaryPercent | None = None
    undo_seconds: UndoSeconds | None = None

    def applied_to(self, plan: Plan) -> Plan:
        return plan if self.is_met_by(plan.launch) else plan.model_copy(update={"launch": self._changed(plan.launch)})

    def is_met_by(self, launch: Launch) -> bool:
        return self._changed(launch) == launch

    def _changed(self, launch: Launch) -> Launch:
        return launch.model_copy(update=self.model_dump(exclude_none=True))


def launch_order_of(launch: Launch) -> LaunchOrder:
    """What makes the same of a plan once more."""
    return LaunchOrder(canary_percent=launch.canary_percent, undo_seconds=launch.undo_seconds)


@dataclass(frozen=True, slots=True)
class ClosedGate:
    gate: Gate
    reason: str
    """For people."""
    resumes_at: datetime | None = None
    """When it opens by itself."""


def awaits_approval(launch: Launch, targeted: int, approved_by: str | None) -> bool:
    return launch.approval_above is not None and targeted > launch.approval_above and approved_by is None


def next_gate(
    launch: Launch, targeted: int, now: datetime, *, approved_by: str | None = None, passed: Gate | None = None
) -> ClosedGate | None:
    """Where a run stops that is let go now; None: nowhere. `passed` is the gate that somebody has just opened."""
    if awaits_approval(launch, targeted, approved_by):
        reason = f"approval awaited: {targeted} messages are more than {launch.approval_above} (APPROVAL_ABOVE)"
        return ClosedGate(Gate.APPROVAL, reason)
    if launch.undo_seconds is not None and passed is not Gate.UNDO:
        resumes_at = now + timedelta(seconds=launch.undo_seconds)
        reason = f"undo window: the first send is {launch.undo_seconds} s after the snapshot (UNDO_SECONDS)"
        return ClosedGate(Gate.UNDO, reason, resumes_at)
    return None


def canary_size(launch: Launch, targeted: int, limit: int | None) -> int | None:
    """How many go first; None: all that may go at all. One is the least, so that a share of few is not nobody."""
    if launch.canary_percent is None:
        return None
    size = ceil(Fraction(str(launch.canary_percent)) * targeted / 100)
    return size if 0 < size < min(targeted, targeted if limit is None else limit) else None


def canary_watched_until(launch: Launch, settled_at: datetime, watched_from: datetime | None) -> datetime:
    """A run that was paused meanwhile is watched anew: nothing was looked at in the pause."""
    begun = max(settled_at, watched_from or settled_at)
    return begun + timedelta(seconds=launch.canary_watch_seconds)


@dataclass(frozen=True, slots=True)
class Share:
    part: int = 0
    of: int = 0

    @property
    def percent(self) -> float:
        return 100 * self.part / self.of if self.of else 0


@dataclass(frozen=True, slots=True)
class Watched:
    """The figures of a run since it was last let go."""

    failed: Share = Share()
    """Of the messages that were tried and have an outcome."""
    acknowledged: Share = Share()
    """Of those who were to acknowledge and whose time is up on the whole ladder."""
    complained: Share = Share()
    """Of the messages that a provider took."""
    canary_settled: bool = False
    """All of the canary were tried: however few they are, no more will come."""


def tripped(halt: Halt, watched: Watched) -> str | None:
    """Why the run must pause, with the figure; None: no threshold is passed."""
    failed, acknowledged, complained = watched.failed, watched.acknowledged, watched.complained
    enough = 1 if watched.canary_settled else halt.after
    if halt.failure_percent is not None and failed.of >= enough and failed.percent > halt.failure_percent:
        return _halted(failed, "tried have failed", "more", "HALT_FAILURE_PERCENT", halt.failure_percent)
    if (
        halt.acknowledged_percent is not None
        and acknowledged.of >= halt.after
        and acknowledged.percent < halt.acknowledged_percent
    ):
        said = "whose time is up have acknowledged"
        return _halted(acknowledged, said, "fewer", "HALT_ACKNOWLEDGED_PERCENT", halt.acknowledged_percent)
    if (
        halt.complaint_percent is not None
        and complained.of >= halt.after
        and complained.percent > halt.complaint_percent
    ):
        return _halted(complained, "handed over complained", "more", "HALT_COMPLAINT_PERCENT", halt.complaint_percent)
    return None


def watches(halt: Halt) -> bool:
    """Whether there is any threshold at all."""
    return (halt.failure_percent, halt.acknowledged_percent, halt.complaint_percent) != (None, None, None)


def _halted(share: Share, said: str, than: str, setting: str, threshold: float) -> str:
    return f"halted: {share.percent:.1f} % of {share.of} {said}, {than} than {threshold:g} % ({setting})"
