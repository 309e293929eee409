"""Whether a run that a schedule started begins, by its planned time, the database's clock and the campaign's policy."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from activities.orders import OpenOrder, RunOrder
from activities.planned_times import PlannedTimes
from campaigns.campaign import Schedule
from campaigns.registry import Registry
from db.engine import transaction
from db.runs import open_run
from db.tables import MissedRun
from domain.ids import run_workflow_id
from domain.missed import missed_runs_of
from tests.db.scene import Scene, a_plan
from tests.fakes import a_probe

HOURLY = "0 * * * *"


@dataclass
class Times:
    """Answers as Temporal would."""

    newest: datetime | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, campaign: str, after: datetime, until: datetime) -> datetime | None:
        assert after < until
        self.asked.append(campaign)
        return self.newest


def ago(**late: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(**late)


def order(planned_at: datetime, actor: str = "schedule") -> OpenOrder:
    slot = f"{planned_at:%Y-%m-%dT%H:%M:%SZ}"
    return OpenOrder(workflow_id=run_workflow_id("probe", slot), run=RunOrder(campaign="probe", actor=actor))


def judge(scene: Scene, policy: str | None, asked: OpenOrder, times: Times | None = None) -> str | None:
    schedule = Schedule(HOURLY, missed=missed_runs_of(policy)) if policy else None
    registry = Registry({"probe": replace(a_probe(), schedule=schedule)})
    return asyncio.run(PlannedTimes(scene.engine, registry, times or Times()).why_missed(asked))


def test_one_that_is_too_late_is_written_down_with_the_reason(scene: Scene) -> None:
    planned_at = ago(hours=7)
    reason = judge(scene, "late:6h", order(planned_at))
    assert reason == "7 hours late, more than the campaign allows (late:6h)"
    [missed] = scene.stored(MissedRun)
    assert (missed.campaign, missed.planned_at, missed.reason) == ("probe", planned_at, reason)


@pytest.mark.parametrize("policy", ["late:6h", "once:6h"])
def test_one_that_may_still_start_is_not(scene: Scene, policy: str) -> None:
    assert judge(scene, policy, order(ago(hours=5))) is None
    assert scene.stored(MissedRun) == []


def test_only_the_newest_of_several_is_run_where_the_campaign_says_once(scene: Scene) -> None:
    times = Times(newest=ago(hours=1))
    reason = judge(scene, "once:6h", order(ago(hours=5)), times)
    assert reason is not None
    assert "only the newest is run (once:6h)" in reason
    assert times.asked == ["probe"]


def test_temporal_is_not_asked_where_nothing_depends_on_it(scene: Scene) -> None:
    times = Times()
    for policy in ("skip", "late:6h"):
        judge(scene, policy, order(ago(hours=5)), times)
    judge(scene, "once:6h", order(ago(seconds=5)), times)
    assert times.asked == []


def test_what_somebody_or_sweep_started_is_never_missed(scene: Scene) -> None:
    for actor in ("cli:somebody", "sweep"):
        assert judge(scene, "skip", order(ago(hours=5), actor)) is None
    key = OpenOrder(workflow_id="run:probe-november-reminder", run=RunOrder(campaign="probe"))
    assert judge(scene, "skip", key) is None


def test_a_run_that_has_begun_before_is_not_missed_when_it_is_opened_again(scene: Scene) -> None:
    asked = order(ago(hours=5))
    with transaction(scene.engine) as session:
        slot = asked.workflow_id.removeprefix("run:probe-")
        open_run(session, workflow_id=asked.workflow_id, campaign="probe", slot=slot, parameters={}, plan=a_plan())
    assert judge(scene, "skip", asked) is None
    assert scene.stored(MissedRun) == []


def test_a_schedule_that_was_switched_off_meanwhile_is_judged_by_the_usual_policy(scene: Scene) -> None:
    assert judge(scene, None, order(ago(minutes=5))) is None
    assert judge(scene, None, order(ago(minutes=11))) is not None


def test_one_that_runs_after_all_is_listed_no_more(scene: Scene) -> None:
    asked = order(ago(hours=5))
    assert judge(scene, "skip", asked) is not None
    assert judge(scene, "late:6h", asked) is None
    assert scene.stored(MissedRun) == []
