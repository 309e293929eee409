"""Whether a rehearsed run would pass a threshold, and when."""

from datetime import timedelta

import pytest

from domain.plan import Halt, Plan
from domain.rehearsal import Answer, Rehearsal
from domain.states import AttemptState, FailureKind
from domain.watching import Watch
from tests.domain.test_rehearsal import HOUR, PLAN, RUN, Told, a_role
from tests.domain.virtual import START

REFUSED = Answer(AttemptState.FAILED, FailureKind.MESSAGE_REJECTED)
ANSWERED = Answer(answered_after=timedelta(minutes=1))
ONE_A_SECOND = {"fcm": 1.0, "mqtt": 1.0}


def watched(plan: Plan, told: Told, number: int = 100, canary: int | None = None) -> Watch:
    watch = Watch(plan)
    rehearsal = Rehearsal(plan, RUN, [a_role(n) for n in range(1, number + 1)], told, ONE_A_SECOND, canary=canary)
    for decided in rehearsal.decisions():
        watch.count(decided, canary_settled=rehearsal.canary_is_watched)
    return watch


def with_halt(**thresholds: float) -> Plan:
    return PLAN.model_copy(update={"halt": Halt.model_validate({"after": 20, **thresholds})})


def refused(*numbers: int) -> Told:
    return Told({(f"person-{n}", channel): [REFUSED] for n in numbers for channel in ("fcm", "mqtt")})


def test_a_share_of_failures_stops_the_run_as_soon_as_enough_were_tried() -> None:
    watch = watched(with_halt(failure_percent=20), refused(*range(2, 101, 2)))
    assert watch.tripped == "halted: 50.0 % of 20 tried have failed, more than 20 % (HALT_FAILURE_PERCENT)"
    assert watch.tripped_at is not None
    assert timedelta(seconds=18) < watch.tripped_at - START < timedelta(seconds=60)


def test_a_share_that_is_allowed_stops_nothing() -> None:
    assert watched(with_halt(failure_percent=60), refused(*range(2, 101, 2))).tripped is None
    assert watched(PLAN, refused(*range(1, 101))).tripped is None


def test_too_few_acknowledgements_are_seen_when_the_time_of_enough_is_up() -> None:
    told = Told({(f"person-{n}", "fcm"): [ANSWERED] for n in range(1, 101, 5)})
    watch = watched(with_halt(acknowledged_percent=50), told)
    assert (
        watch.tripped
        == "halted: 20.0 % of 20 whose time is up have acknowledged, fewer than 50 % (HALT_ACKNOWLEDGED_PERCENT)"
    )
    assert watch.tripped_at is not None
    assert 2 * HOUR < watch.tripped_at - START < 2 * HOUR + timedelta(minutes=2)
    assert watched(with_halt(acknowledged_percent=15), told).tripped is None


@pytest.mark.parametrize(("canary", "stops"), [(10, True), (None, False)])
def test_a_canary_is_judged_however_small_it_is(canary: int | None, stops: bool) -> None:
    few = with_halt(failure_percent=20, after=200)
    assert (watched(few, refused(1, 2, 3), canary=canary).tripped is not None) is stops
