"""Between a run's snapshot and its first send: the gates at which it waits, paused."""

from datetime import datetime

from db.runs import RunView
from domain.launching import canary_size, next_gate
from domain.plan import Plan
from domain.states import RunState


def let_go(run: RunView, plan: Plan, now: datetime) -> dict[str, object]:
    """What to write to the row of a run that goes on now: it sends, or it waits at its next gate.

    Every way to `running` leads through here, so that no gate is slipped past.
    """
    if run.targeted is None:
        return {"state": RunState.QUEUED, "state_reason": None, "paused_at": None}
    closed = None
    if run.watched_from is None:
        closed = next_gate(plan.launch, run.targeted, now, approved_by=run.approved_by, passed=run.gate)
    if closed is None:
        sends = {"state": RunState.RUNNING, "watched_from": now, "paused_at": None}
        return {**sends, "state_reason": None, "gate": None, "resumes_at": None}
    waits = {"state": RunState.PAUSED, "state_reason": closed.reason, "paused_at": now}
    return {**waits, "gate": closed.gate, "resumes_at": closed.resumes_at}


def first_to_go(run: RunView, plan: Plan, targeted: int) -> dict[str, object]:
    """What to write to the row at the snapshot, where a canary goes first."""
    canary = canary_size(plan.launch, targeted, run.released_up_to)
    return {} if canary is None else {"canary": canary, "released_up_to": canary, "limited_to": run.released_up_to}
