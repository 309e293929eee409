"""Treated minus held out: published figures, by hand, and against other ways to the same numbers."""

import math
import random
from collections.abc import Callable
from itertools import starmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.lift import FEWEST_GROUPS, Z_95, Arm, compare

some_groups = st.lists(
    st.integers(1, 4).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))), min_size=16, max_size=60
)


def alone(helped: int, of: int) -> Arm:
    """Everybody a group of their own."""
    return Arm.of([(1, 1)] * helped + [(1, 0)] * (of - helped))


@pytest.mark.parametrize(
    ("treated", "held_out", "low", "high"),
    [  # Newcombe 1998, table II, method 10; with the sign turned where the smaller share comes first there
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_published_intervals_come_out(
    treated: tuple[int, int], held_out: tuple[int, int], low: float, high: float
) -> None:
    lift = compare(alone(*treated), alone(*held_out))
    assert lift is not None
    assert lift.lift == pytest.approx(treated[0] / treated[1] - held_out[0] / held_out[1])
    assert [lift.low, lift.high] == pytest.approx([low, high], abs=5e-5)


def test_a_small_run_by_hand() -> None:
    """12 of 20 treated locks were checked, 3 of 12 held-out ones: 0.60 - 0.25 = 0.35.

    Wilson: 12/20 is (0.3866, 0.7812), 3/12 is (0.0889, 0.5323). Below: sqrt((0.60-0.3866)² + (0.5323-0.25)²) = 0.3539;
    above: sqrt((0.7812-0.60)² + (0.25-0.0889)²) = 0.2425.
    """
    lift = compare(alone(12, 20), alone(3, 12))
    assert lift is not None
    assert lift.lift == pytest.approx(0.35)
    assert lift.low == pytest.approx(0.35 - 0.3539, abs=2e-4)
    assert lift.high == pytest.approx(0.35 + 0.2425, abs=2e-4)


def bisected(low: float, high: float, is_low: Callable[[float], bool]) -> float:
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if is_low(middle) else (low, middle)
    return (low + high) / 2


def by_test_inversion(share: float, size: float) -> tuple[float, float]:
    """Wilson's interval as what it is: all true shares that a score test does not reject."""

    def z(true: float) -> float:
        return abs(share - true) / math.sqrt(true * (1 - true) / size) if 0 < true < 1 else math.inf

    low = 0.0 if share == 0 else bisected(0, share, lambda true: z(true) > Z_95)
    high = 1.0 if share == 1 else bisected(share, 1, lambda true: z(true) <= Z_95)
    return low, high


def design_effect_from_subjects(groups: list[tuple[int, int]]) -> float:
    """From the subjects themselves: covariance of all pairs within groups, over the binomial variance."""
    share = sum(helped for _, helped in groups) / sum(size for size, _ in groups)
    total = 0.0
    for size, helped in groups:
        residuals = [1 - share] * helped + [-share] * (size - helped)
        total += sum(one * other for one in residuals for other in residuals)
    subjects = sum(size for size, _ in groups)
    if share in {0, 1}:
        return sum(size * size for size, _ in groups) / subjects
    return max(1.0, total / (subjects * share * (1 - share)))


@given(some_groups, some_groups)
def test_random_runs_agree_with_a_second_method(
    treated: list[tuple[int, int]], held_out: list[tuple[int, int]]
) -> None:
    found = compare(Arm.of(treated), Arm.of(held_out))
    assert found is not None
    shares, intervals = [], []
    for groups in (treated, held_out):
        size = sum(size for size, _ in groups)
        shares.append(sum(helped for _, helped in groups) / size)
        intervals.append(by_test_inversion(shares[-1], size / design_effect_from_subjects(groups)))
    (low_1, high_1), (low_2, high_2) = intervals
    assert found.lift == pytest.approx(shares[0] - shares[1])
    low = found.lift - math.hypot(shares[0] - low_1, high_2 - shares[1])
    high = found.lift + math.hypot(high_1 - shares[0], shares[1] - low_2)
    assert found.low == pytest.approx(max(low, -1), abs=1e-6)
    assert found.high == pytest.approx(min(high, 1), abs=1e-6)


@given(some_groups, some_groups)
def test_the_interval_holds_the_lift_and_stays_within_what_is_possible(
    treated: list[tuple[int, int]], held_out: list[tuple[int, int]]
) -> None:
    found = compare(Arm.of(treated), Arm.of(held_out))
    turned = compare(Arm.of(held_out), Arm.of(treated))
    assert found is not None
    assert turned is not None
    assert -1 <= found.low <= found.lift <= found.high <= 1
    assert [turned.low, turned.high] == pytest.approx([-found.high, -found.low])


def test_subjects_that_do_alike_widen_the_interval() -> None:
    together, apart = Arm.of([(3, 3)] * 20 + [(3, 0)] * 20), alone(60, 120)
    assert together.design_effect == pytest.approx(3)
    assert apart.design_effect == pytest.approx(1)
    wide, narrow = compare(together, apart), compare(apart, apart)
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > narrow.high - narrow.low


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_the_true_lift_lies_in_the_interval_about_95_times_in_100(alike: float) -> None:
    """Groups of one to three, whose members do as the first with probability `alike`: drawn 2,000 times."""
    lots = random.Random(20261121)  # noqa: S311 - keeps no secret
    true = {"treated": 0.5, "held_out": 0.35}

    def group(share: float) -> tuple[int, int]:
        first = lots.random() < share
        others = [first if lots.random() < alike else lots.random() < share for _ in range(lots.randrange(3))]
        return 1 + len(others), first + sum(others)

    def holds(_: int) -> bool:
        found = compare(*(Arm.of([group(true[arm]) for _ in range(count)]) for arm, count in COUNTS.items()))
        assert found is not None
        return found.low <= 0.15 <= found.high

    assert 0.93 < sum(map(holds, range(2000))) / 2000 < 0.97


COUNTS = {"treated": 150, "held_out": 60}


ONE_TO_THREE, FEW_LARGE = (1, 2, 3), (*[1] * 9, 20)


@pytest.mark.parametrize(
    ("treated", "held_out", "sizes"),
    [(15, 15, ONE_TO_THREE), (30, 30, ONE_TO_THREE), (10, 10, FEW_LARGE), (150, 60, FEW_LARGE), (300, 300, FEW_LARGE)],
)
def test_where_anything_is_said_it_holds_nine_times_in_ten_also_with_few_or_large_groups(
    treated: int, held_out: int, sizes: tuple[int, ...]
) -> None:
    """docs/decisions/2026-11-21-the-lift-is-compared-by-groups.md says how often."""
    lots = random.Random(20261121)  # noqa: S311 - keeps no secret

    def group(share: float) -> tuple[int, int]:
        first, size = lots.random() < share, lots.choice(sizes)
        return size, first + sum(first if lots.random() < 0.9 else lots.random() < share for _ in range(size - 1))

    drawn = (
        compare(Arm.of([group(0.5) for _ in range(treated)]), Arm.of([group(0.35) for _ in range(held_out)]))
        for _ in range(2000)
    )
    said = [lift for lift in drawn if lift is not None]
    assert len(said) > 100
    assert sum(lift.low <= 0.15 <= lift.high for lift in said) / len(said) > 0.9


def test_a_few_large_groups_among_small_ones_are_too_few() -> None:
    few_large = Arm.of([(1, 1)] * 27 + [(20, 20)] * 3)
    assert few_large.effective_groups == pytest.approx(87**2 / 1227)
    assert compare(few_large, few_large) is None
    assert compare(alone(20, 40), alone(20, 40)) is not None


@pytest.mark.parametrize(("treated", "held_out"), [(0, 50), (50, 0), (50, FEWEST_GROUPS - 1), (0, 0)])
def test_with_few_groups_nothing_is_said(treated: int, held_out: int) -> None:
    assert compare(*starmap(alone, [(0, treated), (0, held_out)])) is None


def test_where_nobody_was_helped_the_lift_is_nought_and_its_interval_is_not() -> None:
    lift = compare(alone(0, 40), alone(0, 40))
    assert lift is not None
    assert lift.lift == 0
    assert lift.low < -0.05 < 0.05 < lift.high
