"""Figures as the database would give them, for what is only about their looks."""

from datetime import UTC, datetime
from uuid import UUID

from db.figures import Effectiveness, LiftView, RunFigures
from domain.states import RunState

EFFECTIVENESS = Effectiveness(subjects=1000, awaited=0, helped=355, share=0.355, without={"not_helped": 645})
LIFT = LiftView(
    treated=1000,
    treated_share=0.355,
    held_out=100,
    held_out_share=0.25,
    lift=0.105,
    low=0.01,
    high=0.19,
    method="as always",
    why=None,
    in_both=0,
)
STILL_OPEN = LIFT.model_copy(
    update={"lift": None, "low": None, "high": None, "why": "still open: not all windows have closed"}
)
TOO_FEW = STILL_OPEN.model_copy(update={"why": "not enough data: 10 of each are needed"})
RUN = RunFigures(
    run_id=UUID("0b8f4c1e-6d0a-4d5e-9f43-2a5d6b7c8e90"),
    campaign="lock_battery",
    slot="2026-01-05T09:00:00Z",
    state=RunState.CLOSED,
    created_at=datetime(2026, 1, 5, 9, tzinfo=UTC),
    started_at=datetime(2026, 1, 5, 9, tzinfo=UTC),
    targeted=12_345,
    held_out=100,
    sent=1000,
    failed=3,
    clicked=240,
    click_through_rate=0.24,
    effectiveness=EFFECTIVENESS,
    lift=LIFT,
)


def a_run(**changes: object) -> RunFigures:
    return RUN.model_copy(update=changes)
