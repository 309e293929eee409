"""The figures of runs, from rows that stand as they would."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db.engine import transaction
from db.facts import ClickHit, take_click
from db.figures import RunFigures, campaign_figures
from db.measurement import close_measurement
from db.tables import Outcome
from domain.clicks import ClickClass
from domain.lift import Arm, compare
from domain.states import FailureKind
from tests.db.scene import UNKNOWN, Scene, a_plan, failed
from tests.fakes import a_person

OPENED = datetime(2026, 11, 16, 9, tzinfo=UTC)
MEASURED = a_plan("fcm", measured_for_seconds=3600)
COMPARED = a_plan("fcm", measured_for_seconds=3600, holdout_percent=30)


def figures(scene: Scene, limit: int = 50, before: datetime | None = None) -> list[RunFigures]:
    with transaction(scene.engine) as session:
        return campaign_figures(session, "probe", limit, before)


def outcomes(
    scene: Scene, run_id: UUID, groups: Sequence[tuple[int, int]], arm: str = "treated", outcome: str = "not_helped"
) -> None:
    """Groups of subjects, of whom so many were helped."""
    with transaction(scene.engine) as session:
        for number, (size, helped) in enumerate(groups):
            for member in range(size):
                session.add(
                    Outcome(
                        run_id=run_id,
                        subject=f"{arm}-{outcome}-{number}-{member}",
                        before_readable=True,
                        group_key=f"{arm}-{outcome}-{number}",
                        arm=arm,
                        sent=arm == "treated",
                        opens_at=OPENED,
                        closes_at=OPENED + timedelta(hours=1),
                        read_at=OPENED + timedelta(hours=2),
                        outcome="helped" if member < helped else outcome,
                    )
                )


def closed(scene: Scene, plan: object = COMPARED) -> UUID:
    run_id = scene.queued(plan=plan)  # type: ignore[arg-type] # a plan
    scene.set(run_id, targeted=0, closed_at=OPENED)
    return run_id


def test_a_campaign_without_runs_has_no_figures(scene: Scene) -> None:
    assert figures(scene) == []


def test_sent_failed_and_clicked_are_messages_and_sent_is_what_a_provider_accepted(scene: Scene) -> None:
    run_id = scene.opened(*(a_person(number) for number in range(5)), plan=a_plan("fcm"))
    delivered, silent, refused, clicked, _ = scene.ids(run_id)
    scene.acknowledge(scene.send(delivered))
    scene.send(silent)
    scene.send(refused, outcome=failed(FailureKind.MESSAGE_REJECTED))
    scene.send(clicked)
    scene.set_message(clicked, clicked_at=datetime.now(UTC))
    [found] = figures(scene)
    assert (found.run_id, found.targeted, found.sent, found.failed, found.clicked) == (run_id, 5, 3, 1, 1)
    assert found.click_through_rate == pytest.approx(1 / 3)
    assert (found.effectiveness, found.lift) == (None, None)


def test_a_click_proves_that_a_try_that_was_unknown_had_arrived(scene: Scene) -> None:
    run_id = scene.opened(a_person(0), a_person(1), plan=a_plan("fcm", retries_unknown=False))
    for message_id in scene.ids(run_id):
        scene.send(message_id, outcome=UNKNOWN)
    with transaction(scene.engine) as session:
        take_click(session, ClickHit(ClickClass.PERSON, signed=True, message_id=scene.ids(run_id)[0]))
    [found] = figures(scene)
    assert (found.sent, found.clicked, found.click_through_rate) == (1, 1, 1.0)


def test_where_nothing_was_sent_there_is_no_rate(scene: Scene) -> None:
    scene.opened(a_person(0))
    assert figures(scene)[0].click_through_rate is None


def test_the_newest_run_comes_first_and_pages_go_on_where_the_last_one_ended(scene: Scene) -> None:
    runs = [scene.snapshot(a_person(0)) for _ in range(3)]
    page = figures(scene, limit=2)
    assert [found.run_id for found in page] == [runs[2], runs[1]]
    assert [found.run_id for found in figures(scene, 2, page[-1].created_at)] == [runs[0]]


def test_the_held_out_are_counted_apart(scene: Scene) -> None:
    everybody = [replace(a_person(number), subject=f"lock-{number}") for number in range(40)]
    run_id = scene.opened(*everybody, plan=COMPARED)
    for message_id in scene.ids(run_id):
        scene.send(message_id) if not scene.message(message_id).held_out else scene.decide(message_id)
    [found] = figures(scene)
    assert found.targeted == 40
    assert 0 < found.held_out < 40
    assert found.sent == 40 - found.held_out


def test_effectiveness_is_the_helped_of_all_who_were_not_held_out(scene: Scene) -> None:
    run_id = closed(scene)
    outcomes(scene, run_id, [(1, 1)] * 3 + [(1, 0)] * 4)
    outcomes(scene, run_id, [(1, 0)], outcome="gone")
    outcomes(scene, run_id, [(1, 0)] * 2, outcome="not_sent")
    outcomes(scene, run_id, [(1, 1)] * 9, arm="held_out")
    effect = figures(scene)[0].effectiveness
    assert effect
    assert (effect.subjects, effect.awaited, effect.helped) == (10, 0, 3)
    assert effect.share == pytest.approx(0.3)
    assert effect.without == {"not_helped": 4, "gone": 1, "not_sent": 2}


def test_a_lock_that_was_checked_though_its_notification_failed_is_no_effect_of_it(scene: Scene) -> None:
    run_id = closed(scene)
    outcomes(scene, run_id, [(1, 1)])
    with transaction(scene.engine) as session:
        session.query(Outcome).update({"sent": False})
    effect = figures(scene)[0].effectiveness
    assert effect
    assert (effect.helped, effect.without) == (0, {"never_handed_over": 1})


def test_windows_that_are_open_are_awaited_and_no_part_of_the_share(scene: Scene) -> None:
    run_id = closed(scene, MEASURED)
    outcomes(scene, run_id, [(1, 1)] * 4)
    with transaction(scene.engine) as session:
        session.query(Outcome).filter(Outcome.subject == "treated-not_helped-0-0").update(
            {"outcome": None, "read_at": None}
        )
    scene.set(run_id, measurement_reason="no table")
    effect = figures(scene)[0].effectiveness
    assert effect
    assert (effect.subjects, effect.awaited, effect.helped, effect.share) == (4, 1, 3, 1.0)
    assert effect.waits_because == "no table"
    assert figures(scene)[0].lift is None


TREATED = [(1, 1)] * 9 + [(1, 0)] * 6 + [(3, 3), (2, 0), (2, 2)]
HELD_OUT = [(1, 1)] * 3 + [(1, 0)] * 9 + [(2, 1)]


def test_the_lift_of_rows_is_that_of_their_groups(scene: Scene) -> None:
    run_id = closed(scene)
    outcomes(scene, run_id, TREATED)
    outcomes(scene, run_id, HELD_OUT, arm="held_out")
    outcomes(scene, run_id, [(1, 0)] * 50, arm="held_out", outcome="not_sent")
    outcomes(scene, run_id, [(1, 1)] * 2, arm="both")
    found = figures(scene)[0].lift
    expected = compare(Arm.of(TREATED), Arm.of(HELD_OUT))
    assert found
    assert expected
    assert (found.treated, found.held_out, found.in_both, found.why) == (22, 14, 2, None)
    assert [found.lift, found.low, found.high] == pytest.approx([expected.lift, expected.low, expected.high])
    assert found.lift == pytest.approx(14 / 22 - 4 / 14)
    assert "Newcombe" in found.method


def test_what_was_counted_when_the_last_outcome_was_read_is_what_counting_again_would_say(scene: Scene) -> None:
    run_id = closed(scene)
    outcomes(scene, run_id, TREATED)
    outcomes(scene, run_id, HELD_OUT, arm="held_out")
    before = figures(scene)
    with transaction(scene.engine) as session:
        assert close_measurement(session, run_id)
    assert figures(scene) == before
    with transaction(scene.engine) as session:
        session.query(Outcome).delete()
    assert figures(scene) == before


def test_a_lift_of_too_few_says_so_in_words(scene: Scene) -> None:
    run_id = closed(scene)
    outcomes(scene, run_id, TREATED)
    outcomes(scene, run_id, HELD_OUT[:3], arm="held_out")
    found = figures(scene)[0].lift
    assert found
    assert (found.lift, found.low, found.high) == (None, None, None)
    assert found.why == (
        "not enough data: it weighs as much as 15.1 groups treated and 3 held out, 10 of each are needed"
    )


@pytest.mark.parametrize("missing", ["window", "run"])
def test_a_lift_is_not_told_before_all_windows_have_closed(scene: Scene, missing: str) -> None:
    run_id = closed(scene)
    outcomes(scene, run_id, TREATED)
    outcomes(scene, run_id, HELD_OUT, arm="held_out")
    if missing == "run":
        scene.set(run_id, closed_at=None)
    else:
        with transaction(scene.engine) as session:
            session.query(Outcome).filter(Outcome.arm == "held_out", Outcome.group_key.endswith("-0")).update(
                {"outcome": None, "read_at": None}
            )
    found = figures(scene)[0].lift
    assert found
    assert (found.lift, found.treated_share, found.held_out_share) == (None, None, None)
    assert found.why
    assert found.why.startswith("still open")


def test_other_campaigns_runs_are_not_in_it(scene: Scene) -> None:
    scene.snapshot(a_person(0))
    with transaction(scene.engine) as session:
        assert campaign_figures(session, "another") == []
