"""The figures of a campaign's runs, as pages, API and terminal show them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from domain.states import RunState


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
    """Why the others do not count as helped: not_helped, later, unreadable, gone, not_sent."""


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
    raise NotImplementedError
