"""Waiting for something that tells nobody when it happens."""

import time
from collections.abc import Callable

LOOK_EVERY_SECONDS = 0.1


def wait_until(
    happened: Callable[[], bool], within_seconds: float, what: str, look_every_seconds: float = LOOK_EVERY_SECONDS
) -> None:
    """Raises TimeoutError, which says what did not happen."""
    give_up = time.monotonic() + within_seconds
    while not happened():
        if time.monotonic() > give_up:
            raise TimeoutError(f"not within {within_seconds:g} s: {what}")
        time.sleep(look_every_seconds)
