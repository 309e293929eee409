"""Groups that hang together, and which of them are held out."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from domain.holdout import connected_groups, is_held_out

PEOPLE = [f"person-{number:02}" for number in range(12)]
some_locks = st.lists(st.lists(st.sampled_from(PEOPLE), min_size=2, max_size=4, unique=True), max_size=10)


def reachable(person: str, locks: Sequence[Sequence[str]]) -> set[str]:
    """The slow and obvious way."""
    found = {person}
    while True:
        more = found.union(*(set(owners) for owners in locks if found & set(owners)))
        if more == found:
            return found
        found = more


@given(some_locks)
def test_a_group_is_all_who_can_be_reached_from_one_over_shared_locks(locks: list[list[str]]) -> None:
    groups = connected_groups(locks)
    assert set(groups) == {person for owners in locks for person in owners}
    for person, group in groups.items():
        assert group == min(reachable(person, locks))


@given(some_locks, st.floats(0, 99.9))
def test_no_lock_is_in_both_arms(locks: list[list[str]], percent: float) -> None:
    groups = connected_groups(locks)
    for owners in locks:
        assert len({is_held_out("lock_battery", groups[owner], percent) for owner in owners}) == 1


@given(some_locks, st.randoms())
def test_the_order_in_which_they_are_read_changes_nothing(locks: list[list[str]], lots: object) -> None:
    shuffled = [list(owners) for owners in locks]
    lots.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis's random
    for owners in shuffled:
        lots.shuffle(owners)  # type: ignore[attr-defined]
    assert connected_groups(shuffled) == connected_groups(locks)


def test_a_chain_of_thousands_is_one_group() -> None:
    chain = [[f"person-{number:05}", f"person-{number + 1:05}"] for number in range(20_000)]
    assert set(connected_groups(chain).values()) == {"person-00000"}


def test_the_share_that_is_held_out_is_the_one_that_was_asked_for() -> None:
    held_out = [is_held_out("lock_battery", f"person-{number}", 20) for number in range(20_000)]
    assert 0.19 < sum(held_out) / len(held_out) < 0.21
    assert not any(is_held_out("lock_battery", f"person-{number}", 0) for number in range(1000))


def test_a_greater_share_holds_out_whom_a_smaller_one_does() -> None:
    for number in range(2000):
        group = f"person-{number}"
        assert is_held_out("lock_battery", group, 30) or not is_held_out("lock_battery", group, 10)


def test_another_run_draws_anew() -> None:
    both = sum(is_held_out("a", f"p-{n}", 50) and is_held_out("b", f"p-{n}", 50) for n in range(10_000))
    assert 0.23 < both / 10_000 < 0.27


def test_the_arm_of_a_group_in_a_run_is_the_same_for_ever() -> None:
    """Written down: another hash would move people between the arms of a snapshot that is taken up again."""
    held_out = [number for number in range(1, 41) if is_held_out("lock_battery", f"owner-{number:04}", 30)]
    assert held_out == [8, 9, 22, 24, 30, 32, 35, 36]
