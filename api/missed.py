"""Planned times that passed without a run."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict

from api.keys import Viewer
from api.paging import PageSize, next_page
from api.parts import PartsOf
from api.problems import problems
from db.engine import transaction
from db.missed import MissedRunView, list_missed

router = APIRouter(prefix="/api/v1/missed-runs", tags=["Runs"], responses=problems(401, 403, 422, 503))


class MissedRunPage(BaseModel):
    model_config = ConfigDict(frozen=True)

    missed_runs: list[MissedRunView]
    next: str | None
    """The address of the next page."""


@router.get("")
def missed_runs(
    *,
    request: Request,
    parts: PartsOf,
    _: Viewer,
    campaign: Annotated[str | None, Query(pattern="^[!-~]{1,100}$")] = None,
    limit: PageSize = 50,
    before: AwareDatetime | None = None,
    before_campaign: Annotated[str, Query(pattern="^[!-~]{0,100}$")] = "",
) -> MissedRunPage:
    """The latest planned first; `before` and `before_campaign` are those of the last one of the page before."""
    place = (before, before_campaign) if before is not None else None
    with transaction(parts.engine) as session:
        found = list_missed(session, campaign, limit, place)
    more = None
    if len(found) == limit:
        last = found[-1]
        more = {"limit": limit, "before": last.planned_at.isoformat(), "before_campaign": last.campaign}
        more |= {"campaign": campaign} if campaign is not None else {}
    return MissedRunPage(missed_runs=found, next=next_page(request, more))
