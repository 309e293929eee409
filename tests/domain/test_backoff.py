from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest

from domain.backoff import LONGEST_ASKED, LONGEST_RETRY, next_try_at, retry_delay
from domain.states import AttemptState, FailureKind

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_the_waits_double_and_then_stay_below_their_bound() -> None:
    identity = uuid4()
    waits = [retry_delay(tries, identity) for tries in range(1, 30)]
    assert all(later >= earlier for earlier, later in pairwise(waits))
    assert waits[-1] <= LONGEST_RETRY * 1.25


@pytest.mark.parametrize("asked", [400 * 24 * 3600, 1e300, float("inf")])
def test_what_a_provider_asks_for_is_kept_within_reason(asked: float) -> None:
    assert retry_delay(1, uuid4(), asked) <= LONGEST_ASKED * 1.25


def test_a_machine_that_is_too_slow_is_left_alone_for_longer_each_time() -> None:
    waits = [next_try_at(AttemptState.RELEASED, None, tries, uuid4(), now=NOW) for tries in (1, 2, 3, 20)]
    assert waits == [NOW + timedelta(seconds=seconds) for seconds in (1, 2, 4, 60)]


def test_a_refusal_for_good_sets_no_time() -> None:
    assert next_try_at(AttemptState.FAILED, FailureKind.UNREACHABLE, 1, uuid4(), now=NOW) is None
