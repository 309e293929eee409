"""The figures of a campaign's runs: how many were reached, and whether it helped."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.config import JsonDict

from api.keys import Viewer
from api.paging import PageSize, next_page
from api.parts import PartsOf
from api.problems import problems
from db.engine import transaction
from db.figures import RunFigures, campaign_figures

router = APIRouter(prefix="/api/v1/campaigns", tags=["Campaigns"], responses=problems(401, 403, 404, 422, 503))

_EXAMPLE: JsonDict = {
    "run_id": "0b8f4c1e-6d0a-4d5e-9f43-2a5d6b7c8e90",
    "campaign": "lock_battery",
    "slot": "2026-11-16T09:00:00Z",
    "state": "closed",
    "created_at": "2026-11-16T09:00:00.412Z",
    "started_at": "2026-11-16T09:00:00.530Z",
    "targeted": 2000,
    "held_out": 200,
    "sent": 1764,
    "failed": 21,
    "clicked": 412,
    "click_through_rate": 0.2336,
    "effectiveness": {
        "subjects": 1986,
        "awaited": 0,
        "helped": 704,
        "share": 0.3545,
        "without": {"not_helped": 1249, "later": 4, "gone": 8, "not_sent": 21},
    },
    "lift": {
        "treated": 1965,
        "treated_share": 0.3583,
        "held_out": 221,
        "held_out_share": 0.1629,
        "lift": 0.1954,
        "low": 0.1393,
        "high": 0.2433,
        "method": "Newcombe's hybrid score interval, with each arm's size divided by its design effect",
        "why": None,
        "in_both": 0,
    },
}
_NEXT = "/api/v1/campaigns/lock_battery/figures?limit=1&before=2026-11-16T09%3A00%3A00.412%2B00%3A00"


class FiguresPage(BaseModel):
    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"figures": [_EXAMPLE], "next": _NEXT}]})

    figures: list[RunFigures]
    next: str | None
    """The address of the next page."""


@router.get("/{name}/figures")
def figures(
    *,
    name: Annotated[str, Path(max_length=100, examples=["lock_battery"])],
    request: Request,
    parts: PartsOf,
    _: Viewer,
    limit: PageSize = 50,
    before: AwareDatetime | None = None,
) -> FiguresPage:
    """A campaign's runs with their figures, the newest first; `before` is the `created_at` of the last one seen.

    Shares are between 0 and 1. What cannot be said (yet) is null.
    """
    campaign = parts.registry[name].name
    with transaction(parts.engine) as session:
        found = campaign_figures(session, campaign, limit, before)
    more = {"limit": limit, "before": found[-1].created_at.isoformat()} if len(found) == limit else None
    return FiguresPage(figures=found, next=next_page(request, more))
