"""Planned times that passed without a run."""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.tables import MissedRun


class MissedRunView(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    campaign: str
    planned_at: datetime
    noted_at: datetime
    """When it was decided that it is not run any more."""
    reason: str


def note_missed(session: Session, campaign: str, planned_at: datetime, reason: str) -> None:
    """What was said first stays."""
    session.execute(
        insert(MissedRun).values(campaign=campaign, planned_at=planned_at, reason=reason).on_conflict_do_nothing()
    )


def forget_missed(session: Session, campaign: str, planned_at: datetime) -> None:
    """It is run after all: somebody has changed the policy and asked Temporal for that time again."""
    session.execute(delete(MissedRun).where(MissedRun.campaign == campaign, MissedRun.planned_at == planned_at))


def list_missed(
    session: Session, campaign: str | None = None, limit: int = 50, before: tuple[datetime, str] | None = None
) -> list[MissedRunView]:
    """The latest planned first; `before` the (planned_at, campaign) of the last one of the page before."""
    place = (MissedRun.planned_at, MissedRun.campaign)
    query = select(MissedRun).order_by(*(column.desc() for column in place)).limit(limit)
    if campaign is not None:
        query = query.where(MissedRun.campaign == campaign)
    if before is not None:
        query = query.where(tuple_(*place) < tuple_(*before))
    return [MissedRunView.model_validate(row) for row in session.scalars(query)]


def count_missed(session: Session, within: timedelta) -> int:
    """How many were noted in the last so and so long."""
    young = MissedRun.noted_at > func.clock_timestamp() - within
    return session.scalar(select(func.count()).select_from(MissedRun).where(young)) or 0
