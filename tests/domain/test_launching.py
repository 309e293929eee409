"""What a run waits for before it sends, who goes first, and the figures at which it pauses."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from domain.launching import (
    ClosedGate,
    Gate,
    LaunchOrder,
    Share,
    Watched,
    canary_size,
    canary_watched_until,
    next_gate,
    tripped,
)
from domain.plan import Halt, Launch
from tests.db.scene import a_plan

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def test_a_run_that_needs_nothing_waits_at_no_gate() -> None:
    assert next_gate(Launch(), 10_000, NOW) is None


@pytest.mark.parametrize(("targeted", "gate"), [(1000, None), (1001, Gate.APPROVAL)])
def test_more_than_so_many_messages_need_an_approval(targeted: int, gate: Gate | None) -> None:
    closed = next_gate(Launch(approval_above=1000), targeted, NOW)
    assert (closed and closed.gate) == gate


def test_the_reason_names_the_figures_and_the_setting() -> None:
    closed = next_gate(Launch(approval_above=1000), 5000, NOW)
    assert closed is not None
    assert closed.reason == "approval awaited: 5000 messages are more than 1000 (APPROVAL_ABOVE)"


def test_the_undo_window_comes_after_the_approval_and_is_passed_once() -> None:
    launch = Launch(approval_above=10, undo_seconds=60)
    waits = [
        next_gate(launch, 11, NOW),
        next_gate(launch, 11, NOW, approved_by="ab12", passed=Gate.APPROVAL),
        next_gate(launch, 11, NOW, approved_by="ab12", passed=Gate.UNDO),
    ]
    assert [closed and (closed.gate, closed.resumes_at) for closed in waits] == [
        (Gate.APPROVAL, None),
        (Gate.UNDO, NOW + timedelta(seconds=60)),
        None,
    ]


def test_whoever_opens_the_undo_window_does_not_open_the_approval_with_it() -> None:
    closed = next_gate(Launch(approval_above=10, undo_seconds=60), 11, NOW, passed=Gate.UNDO)
    assert isinstance(closed, ClosedGate)
    assert closed.gate is Gate.APPROVAL


@pytest.mark.parametrize(
    ("percent", "targeted", "limit", "size"),
    [
        (None, 100, None, None),
        (10, 1000, None, 100),
        (7, 100, None, 7),  # 7 * 100 / 100 is a little more than 7 in floating point
        (0.1, 1000, None, 1),
        (1, 10, None, 1),
        (10, 1, None, None),
        (10, 0, None, None),
        (99, 10, None, None),
        (10, 1000, 50, None),
        (10, 1000, 100, None),
        (10, 1000, 101, 100),
    ],
)
def test_a_canary_is_the_share_rounded_up_where_it_leaves_anybody_for_later(
    percent: float | None, targeted: int, limit: int | None, size: int | None
) -> None:
    assert canary_size(Launch(canary_percent=percent), targeted, limit) == size


def test_a_canary_is_watched_from_its_last_hand_over_and_anew_after_a_pause() -> None:
    launch = Launch(canary_percent=10, canary_watch_seconds=600)
    watch = timedelta(seconds=600)
    assert canary_watched_until(launch, NOW, NOW - timedelta(hours=1)) == NOW + watch
    assert canary_watched_until(launch, NOW, NOW + timedelta(hours=1)) == NOW + timedelta(hours=1) + watch
    assert canary_watched_until(launch, NOW, None) == NOW + watch


HALT = Halt(failure_percent=20, acknowledged_percent=50, complaint_percent=1, after=50)


@pytest.mark.parametrize(
    ("watched", "reason"),
    [
        (Watched(), None),
        (Watched(failed=Share(10, 50)), None),
        (Watched(failed=Share(49, 49)), None),
        (
            Watched(failed=Share(17, 50)),
            "halted: 34.0 % of 50 tried have failed, more than 20 % (HALT_FAILURE_PERCENT)",
        ),
        (Watched(acknowledged=Share(25, 50)), None),
        (
            Watched(acknowledged=Share(24, 50)),
            "halted: 48.0 % of 50 whose time is up have acknowledged, fewer than 50 % (HALT_ACKNOWLEDGED_PERCENT)",
        ),
        (Watched(complained=Share(1, 100)), None),
        (
            Watched(complained=Share(2, 100)),
            "halted: 2.0 % of 100 handed over complained, more than 1 % (HALT_COMPLAINT_PERCENT)",
        ),
    ],
)
def test_a_run_halts_when_a_share_passes_its_threshold_and_the_reason_has_the_figure(
    watched: Watched, reason: str | None
) -> None:
    assert tripped(HALT, watched) == reason


def test_without_thresholds_nothing_halts() -> None:
    everything_wrong = Watched(Share(100, 100), Share(0, 100), Share(100, 100), canary_settled=True)
    assert tripped(Halt(), everything_wrong) is None


def test_a_settled_canary_is_looked_at_however_small_it_is() -> None:
    assert tripped(HALT, Watched(failed=Share(1, 3))) is None
    assert tripped(HALT, Watched(failed=Share(1, 3), canary_settled=True)) is not None
    assert tripped(HALT, Watched(canary_settled=True)) is None


def test_what_is_ordered_for_one_run_replaces_what_its_plan_says_and_leaves_the_rest() -> None:
    plan = a_plan(launch=Launch(canary_percent=10, approval_above=5))
    assert LaunchOrder(undo_seconds=30).applied_to(plan).launch == Launch(
        canary_percent=10, undo_seconds=30, approval_above=5
    )
    assert LaunchOrder().applied_to(plan) is plan


@pytest.mark.parametrize("asked", [{"canary_percent": 0}, {"canary_percent": 100}, {"undo_seconds": 0}, {"now": 1}])
def test_a_launch_that_makes_no_sense_is_refused(asked: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        LaunchOrder.model_validate(asked)
