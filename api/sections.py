"""One campaign on the page of figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from api.trends import Row, Trend, rows, trends
from campaigns.campaign import Campaign
from db.figures import RunFigures
from domain.cron import schedule_words

RUNS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    purpose: str
    schedule: str | None
    """When it runs by itself, in words."""
    trends: list[Trend]
    rows: list[Row]
    newest: str
    """The address of the page with this campaign's newest runs."""
    older: str | None
    """Of the one with the runs before these."""
    warnings: list[str]


def section(campaign: Campaign[Any], runs: Sequence[RunFigures], *, paged: bool) -> Section:
    """`runs` with the newest first; `paged`: there are newer ones."""
    schedule = campaign.schedule
    zone: tzinfo = ZoneInfo(schedule.zone) if schedule else UTC
    return Section(
        name=campaign.name,
        purpose=campaign.purpose,
        schedule=schedule_words(schedule.cron, schedule.zone) if schedule else None,
        trends=trends(runs, zone, older=paged) if runs else [],
        rows=rows(runs, zone),
        newest=_address(campaign=campaign.name),
        older=_address(campaign=campaign.name, before=runs[-1].created_at.isoformat())
        if len(runs) == RUNS_SHOWN
        else None,
        warnings=[
            f"The outcomes of run {run.slot} cannot be read: {run.effectiveness.waits_because}"
            for run in runs
            if run.effectiveness and run.effectiveness.waits_because
        ],
    )


def _address(**query: str) -> str:
    return f"/?{urlencode(query)}"
