"""The outcomes of runs, counted: by what they show, and by arm as the lift needs them."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import Outcome
from domain.lift import Arm
from domain.outcomes import Arm as ArmName
from domain.outcomes import Outcome as Result

NEVER_HANDED_OVER = "never_handed_over"
"""Done, though no provider took the message: no effect of it."""


class OutcomeCounts(BaseModel):
    """Of one run."""

    results: dict[str, int] = Field(default_factory=dict)
    """Of those who were not held out."""
    awaited: int = 0
    """Of these, not read yet."""
    unread: int = 0
    """Over all arms."""
    in_both: int = 0
    arms: dict[str, Arm] = Field(default_factory=dict)


def count_outcomes(session: Session, run_ids: Iterable[UUID]) -> dict[UUID, OutcomeCounts]:
    """From the rows as they stand; a run without any has counts of nought."""
    counted = {run_id: OutcomeCounts() for run_id in run_ids}
    columns = (Outcome.run_id, Outcome.arm, Outcome.outcome, Outcome.sent)
    query = select(*columns, func.count()).where(Outcome.run_id.in_(counted)).group_by(*columns)
    for run_id, arm, result, sent, count in session.execute(query):
        _add(counted[run_id], arm, result, sent=sent, count=count)
    for run_id, arm, sums in _arms(session, list(counted)):
        counted[run_id].arms[arm] = sums
    return counted


def _add(counts: OutcomeCounts, arm: str, result: str | None, *, sent: bool, count: int) -> None:
    counts.unread += count if result is None else 0
    counts.in_both += count if arm == ArmName.BOTH else 0
    if arm == ArmName.HELD_OUT:
        return
    if result is None:
        counts.awaited += count
    else:
        shown = NEVER_HANDED_OVER if result == Result.HELPED and not sent else result
        counts.results[shown] = counts.results.get(shown, 0) + count


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
