"""The figures of a campaign's runs, as pages, API and terminal show them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.outcome_counts import OutcomeCounts, count_outcomes
from db.sent import count_sent
from db.tables import Message, Run
from domain.lift import FEWEST_GROUPS, METHOD, Arm, compare
from domain.outcomes import Arm as ArmName
from domain.outcomes import Outcome as Result
from domain.plan import Plan
from domain.states import MessageState, RunState

_STILL_OPEN = "still open: not all windows have closed"


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Effectiveness(_View):
    """Of the run's subjects (locks) that were not held out."""

    subjects: int
    """All of them, also those whose windows are still open."""
    awaited: int
    """Their windows are still open, or have not opened yet."""
    helped: int
    share: float | None
    """helped of those that are not awaited any more; None: there is none yet."""
    without: dict[str, int]
    """Why the others do not count as helped: not_helped, later, unreadable, gone, not_sent, never_handed_over."""
    waits_because: str | None = None
    """Why the outcomes cannot be read at present."""


class LiftView(_View):
    """Treated minus held out, compared by assignment: those who were sent something or would have been."""

    treated: int
    treated_share: float | None
    """None: nobody, or windows are still open."""
    held_out: int
    held_out_share: float | None
    lift: float | None
    """As a share: 0.05 is five percentage points. None: `why` says why not."""
    low: float | None
    high: float | None
    """The 95 % interval."""
    method: str
    why: str | None
    in_both: int
    """Subjects in both arms, which are left out."""


class RunFigures(_View):
    run_id: UUID
    campaign: str
    slot: str
    state: RunState
    created_at: datetime
    started_at: datetime | None
    targeted: int | None
    """Recipients of the snapshot, the held-out among them; None: it is not taken yet."""
    held_out: int
    """Recipients who are left unsent so that the others can be compared with them."""
    sent: int
    """Messages that a provider accepted, whatever came later."""
    failed: int
    clicked: int
    """Messages with a click of a person."""
    click_through_rate: float | None
    """clicked / sent; None where nothing was sent."""
    effectiveness: Effectiveness | None
    """None: the campaign measures nothing."""
    lift: LiftView | None
    """None: nobody was to be held out."""


def campaign_figures(
    session: Session, campaign: str, limit: int = 50, before: datetime | None = None
) -> list[RunFigures]:
    """The newest run first; `before` a run's `created_at`."""
    query = select(Run).where(Run.campaign == campaign).order_by(Run.created_at.desc()).limit(limit)
    if before is not None:
        query = query.where(Run.created_at < before)
    runs = session.scalars(query).all()
    ids = [run.id for run in runs]
    messages, sent = _messages(session, ids), count_sent(session, ids)
    counted = {run.id: OutcomeCounts.model_validate(run.outcomes) for run in runs if run.outcomes}
    counted |= count_outcomes(session, [each for each in ids if each not in counted])
    return [_figures(run, messages[run.id], sent[run.id], counted[run.id]) for run in runs]


@dataclass(slots=True)
class _Messages:
    held_out: int = 0
    failed: int = 0
    clicked: int = 0


def _messages(session: Session, run_ids: Sequence[UUID]) -> defaultdict[UUID, _Messages]:
    query = select(
        Message.run_id,
        func.count().filter(Message.state == MessageState.HELD_OUT),
        func.count().filter(Message.state == MessageState.FAILED),
        func.count().filter(Message.clicked_at.is_not(None)),
    ).where(Message.run_id.in_(run_ids))
    counted = session.execute(query.group_by(Message.run_id))
    return defaultdict(_Messages, {run_id: _Messages(*counts) for run_id, *counts in counted})


def _figures(run: Run, messages: _Messages, sent: int, outcomes: OutcomeCounts) -> RunFigures:
    plan = Plan.model_validate(run.plan)
    measures = plan.measured_for_seconds is not None
    return RunFigures(
        run_id=run.id,
        campaign=run.campaign,
        slot=run.slot,
        state=RunState(run.state),
        created_at=run.created_at,
        started_at=run.started_at,
        targeted=run.targeted,
        held_out=messages.held_out,
        sent=sent,
        failed=messages.failed,
        clicked=messages.clicked,
        click_through_rate=messages.clicked / sent if sent else None,
        effectiveness=_effectiveness(run, outcomes) if measures else None,
        lift=_lift(run, outcomes) if measures and plan.holdout_percent else None,
    )


def _effectiveness(run: Run, outcomes: OutcomeCounts) -> Effectiveness:
    without = dict(sorted(outcomes.results.items()))
    helped = without.pop(Result.HELPED, 0)
    known = helped + sum(without.values())
    return Effectiveness(
        subjects=known + outcomes.awaited,
        awaited=outcomes.awaited,
        helped=helped,
        share=helped / known if known else None,
        without=without,
        waits_because=run.measurement_reason,
    )


def _lift(run: Run, outcomes: OutcomeCounts) -> LiftView:
    treated = outcomes.arms.get(ArmName.TREATED, Arm())
    held_out = outcomes.arms.get(ArmName.HELD_OUT, Arm())
    still_open = outcomes.unread or run.targeted is None or run.closed_at is None
    lift = None if still_open else compare(treated, held_out)
    reason = _STILL_OPEN if still_open else _not_enough(treated, held_out)
    return LiftView(
        treated=treated.subjects,
        treated_share=treated.share if treated.subjects and not still_open else None,
        held_out=held_out.subjects,
        held_out_share=held_out.share if held_out.subjects and not still_open else None,
        lift=lift.lift if lift else None,
        low=lift.low if lift else None,
        high=lift.high if lift else None,
        method=METHOD,
        why=None if lift else reason,
        in_both=outcomes.in_both,
    )


def _not_enough(treated: Arm, held_out: Arm) -> str:
    weighs = f"{treated.effective_groups:.3g} groups treated and {held_out.effective_groups:.3g} held out"
    return f"not enough data: it weighs as much as {weighs}, {FEWEST_GROUPS} of each are needed"
