"""The figures of a campaign's runs, as pages, API and terminal show them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import Attempt, Message, Outcome, Run
from domain.lift import FEWEST_GROUPS, METHOD, Arm, compare
from domain.outcomes import Arm as ArmName
from domain.outcomes import Outcome as Result
from domain.plan import Plan
from domain.states import HANDED_OVER, MessageState, RunState


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
    targeted: int
    """Recipients of the snapshot, the held-out among them."""
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
    messages, sent, measured = _messages(session, ids), _sent(session, ids), _measured(session, ids)
    return [_figures(run, messages[run.id], sent.get(run.id, 0), measured[run.id]) for run in runs]


@dataclass(slots=True)
class _Messages:
    held_out: int = 0
    failed: int = 0
    clicked: int = 0


@dataclass(slots=True)
class _Measured:
    """The outcomes of one run, counted."""

    results: Counter[str | None] = field(default_factory=Counter)
    """Of those who were not held out; None: still awaited."""
    awaited: int = 0
    """Over all arms."""
    in_both: int = 0
    arms: dict[str, Arm] = field(default_factory=dict)


def _messages(session: Session, run_ids: Sequence[UUID]) -> defaultdict[UUID, _Messages]:
    query = select(
        Message.run_id,
        func.count().filter(Message.state == MessageState.HELD_OUT),
        func.count().filter(Message.state == MessageState.FAILED),
        func.count().filter(Message.clicked_at.is_not(None)),
    ).where(Message.run_id.in_(run_ids))
    counted = session.execute(query.group_by(Message.run_id))
    return defaultdict(_Messages, {run_id: _Messages(*counts) for run_id, *counts in counted})


def _sent(session: Session, run_ids: Sequence[UUID]) -> dict[UUID, int]:
    query = (
        select(Attempt.run_id, func.count(func.distinct(Attempt.message_id)))
        .where(Attempt.run_id.in_(run_ids), Attempt.state.in_(HANDED_OVER))
        .group_by(Attempt.run_id)
    )
    return dict(session.execute(query).all())


def _measured(session: Session, run_ids: Sequence[UUID]) -> defaultdict[UUID, _Measured]:
    measured: defaultdict[UUID, _Measured] = defaultdict(_Measured)
    columns = (Outcome.run_id, Outcome.arm, Outcome.outcome, Outcome.sent)
    query = select(*columns, func.count()).where(Outcome.run_id.in_(run_ids)).group_by(*columns)
    for run_id, arm, result, sent, count in session.execute(query):
        found = measured[run_id]
        found.awaited += count if result is None else 0
        found.in_both += count if arm == ArmName.BOTH else 0
        if arm != ArmName.HELD_OUT:
            found.results["never_handed_over" if result == Result.HELPED and not sent else result] += count
    for run_id, arm, sums in _arms(session, run_ids):
        measured[run_id].arms[arm] = sums
    return measured


def _arms(session: Session, run_ids: Sequence[UUID]) -> list[tuple[UUID, str, Arm]]:
    """By assignment: whoever was sent something or would have been, whatever came of it."""
    assigned = (
        select(
            Outcome.run_id,
            Outcome.arm,
            func.count().label("subjects"),
            func.count().filter(Outcome.outcome == Result.HELPED).label("helped"),
        )
        .where(
            Outcome.run_id.in_(run_ids),
            Outcome.arm.in_([ArmName.TREATED, ArmName.HELD_OUT]),
            Outcome.group_key.is_not(None),
            Outcome.outcome != Result.NOT_SENT,
        )
        .group_by(Outcome.run_id, Outcome.arm, Outcome.group_key)
    ).subquery()
    groups = assigned.c
    sums = (
        func.count(),
        func.sum(groups.subjects),
        func.sum(groups.helped),
        func.sum(groups.subjects * groups.subjects),
        func.sum(groups.helped * groups.helped),
        func.sum(groups.subjects * groups.helped),
    )
    query = select(groups.run_id, groups.arm, *sums).group_by(groups.run_id, groups.arm)
    return [(run_id, arm, Arm(*map(int, added))) for run_id, arm, *added in session.execute(query)]


def _figures(run: Run, messages: _Messages, sent: int, measured: _Measured) -> RunFigures:
    plan = Plan.model_validate(run.plan)
    measures = plan.measured_for_seconds is not None
    return RunFigures(
        run_id=run.id,
        campaign=run.campaign,
        slot=run.slot,
        state=RunState(run.state),
        created_at=run.created_at,
        started_at=run.started_at,
        targeted=run.targeted or 0,
        held_out=messages.held_out,
        sent=sent,
        failed=messages.failed,
        clicked=messages.clicked,
        click_through_rate=messages.clicked / sent if sent else None,
        effectiveness=_effectiveness(run, measured) if measures else None,
        lift=_lift(run, measured) if measures and plan.holdout_percent else None,
    )


def _effectiveness(run: Run, measured: _Measured) -> Effectiveness:
    results = Counter(measured.results)
    awaited, helped = results.pop(None, 0), results.pop(Result.HELPED, 0)
    known = helped + results.total()
    return Effectiveness(
        subjects=known + awaited,
        awaited=awaited,
        helped=helped,
        share=helped / known if known else None,
        without={str(name): count for name, count in sorted(results.items(), key=str)},
        waits_because=run.measurement_reason,
    )


def _lift(run: Run, measured: _Measured) -> LiftView:
    treated = measured.arms.get(ArmName.TREATED, Arm())
    held_out = measured.arms.get(ArmName.HELD_OUT, Arm())
    still_open = measured.awaited or run.targeted is None or run.closed_at is None
    lift = None if still_open else compare(treated, held_out)
    return LiftView(
        treated=treated.subjects,
        treated_share=treated.share if treated.subjects else None,
        held_out=held_out.subjects,
        held_out_share=held_out.share if held_out.subjects else None,
        lift=lift.lift if lift else None,
        low=lift.low if lift else None,
        high=lift.high if lift else None,
        method=METHOD,
        why=None
        if lift
        else "still open: not all windows have closed"
        if still_open
        else _not_enough(treated, held_out),
        in_both=measured.in_both,
    )


def _not_enough(treated: Arm, held_out: Arm) -> str:
    return (
        f"not enough data: {treated.groups} groups were treated and {held_out.groups} held out, "
        f"{FEWEST_GROUPS} of each are needed"
    )
