"""How long to wait before the next try, and how to keep a crowd from moving in one step."""

from datetime import datetime, timedelta
from uuid import UUID

from domain.states import AttemptState, FailureKind

TRIED_AGAIN = frozenset({FailureKind.BUSY, FailureKind.NOT_PERMITTED})
"""Refusals that are not for good."""
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=15)
LONGEST_ASKED = timedelta(hours=1)
PREPARE_RETRY = timedelta(seconds=15)
"""While a channel cannot be made ready: nothing is claimed, nothing is counted as a try."""
HAND_OVER_RETRY = timedelta(seconds=1)
"""After a try that was released because the machine was too slow to hand it over in time; doubling up to a minute."""
LONGEST_HAND_OVER_RETRY = timedelta(minutes=1)


def jitter(identity: UUID, spread: timedelta) -> timedelta:
    """A share of `spread` that is the same for one message each time it is asked for."""
    return spread * (identity.int % 10_000) / 10_000


def retry_delay(tries: int, identity: UUID, retry_after: float | None = None) -> timedelta:
    """After `tries` failed tries (1 or more): what the provider asked for, else doubling; up to a quarter more."""
    doubled: timedelta = FIRST_RETRY * (1 << min(tries - 1, 10))
    delay = min(doubled, LONGEST_RETRY) if retry_after is None else asked_for(retry_after)
    return delay + jitter(identity, delay / 4)


def asked_for(seconds: float) -> timedelta:
    """What a provider asked for, within reason: a mistake of its own must not put a message off for years."""
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST_ASKED.total_seconds()))


def next_try_at(
    state: AttemptState,
    failure: FailureKind | None,
    tries: int,
    identity: UUID,
    *,
    now: datetime,
    retry_after: float | None = None,
) -> datetime | None:
    """When the same channel may be tried again after this outcome; None: at once, or never."""
    if state is AttemptState.RELEASED:
        return now + min(HAND_OVER_RETRY * (1 << min(max(tries - 1, 0), 10)), LONGEST_HAND_OVER_RETRY)
    if state is AttemptState.UNKNOWN or failure in TRIED_AGAIN:
        return now + retry_delay(tries, identity, retry_after)
    return None
