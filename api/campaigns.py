"""What can be run: the campaigns, and which parameters each takes."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.keys import Viewer
from api.parts import PartsOf
from api.problems import problems
from campaigns.campaign import Campaign

router = APIRouter(prefix="/api/v1/campaigns", tags=["Campaigns"], responses=problems(401, 403))


class ScheduleView(BaseModel):
    model_config = ConfigDict(frozen=True)

    cron: str = Field(examples=["0 9 * * MON"])
    zone: str = Field(examples=["Europe/Berlin"])
    missed_runs: str = Field(examples=["late:10m"])
    """What becomes of a run that could not start at its time: `skip`, `late:…` or `once:…`."""


class CampaignView(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str = Field(examples=["lock_battery"])
    purpose: str
    schedule: ScheduleView | None
    """None: it never starts by itself."""
    defaults: dict[str, Any]
    """Parameters that the operator's settings set."""
    parameters: dict[str, Any]
    """JSON Schema of what a run may set."""


@router.get("")
def list_campaigns(parts: PartsOf, _: Viewer) -> list[CampaignView]:
    """All campaigns, by name."""
    registry = parts.registry
    return [_view(registry[name], dict(registry.defaults.get(name, {}))) for name in sorted(registry.campaigns)]


def _view(campaign: Campaign[Any], defaults: dict[str, Any]) -> CampaignView:
    schedule = campaign.schedule
    return CampaignView(
        name=campaign.name,
        purpose=campaign.purpose,
        schedule=schedule and ScheduleView(cron=schedule.cron, zone=schedule.zone, missed_runs=str(schedule.missed)),
        defaults=defaults,
        parameters=campaign.parameters.model_json_schema(),
    )
