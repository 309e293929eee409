"""How long a claim is good for. A pause answers when no claim can still be on its way to a provider."""

from datetime import timedelta
from itertools import pairwise

HAND_OVER_LIMIT = timedelta(seconds=1)
"""From before the claim, on a monotonic clock, to the call of the provider; past it the attempt is released."""
HAND_OVER_MARGIN = timedelta(seconds=1)
"""From the call to the first byte on the wire: what has not begun by then never leaves. A pause waits for it too."""
PREPARE_TIMEOUT = timedelta(seconds=2)
"""The most that getting a channel ready may take, before the claim."""
RECORD_TIMEOUT = timedelta(seconds=3)
"""The most that recording an outcome waits for its locks."""
CHANNEL_TIMEOUT = timedelta(seconds=8)
"""The most that one send may take, connecting included."""
ADVANCE_TIMEOUT = timedelta(seconds=15)
"""start_to_close of the sending activity."""
SHUTDOWN_GRACE = timedelta(seconds=20)
"""What a worker that is asked to stop gives its activities."""
STOP_TIMEOUT = timedelta(seconds=30)
"""What the container gives the worker."""


def check_nesting(channel_timeout: timedelta) -> None:
    """Each time-out must end before the one around it; else a send is repeated that is still under way."""
    chain = [
        ("the channel's whole time-out", channel_timeout),
        ("all steps of a send", PREPARE_TIMEOUT + HAND_OVER_LIMIT + channel_timeout + RECORD_TIMEOUT),
        ("the activity's start_to_close", ADVANCE_TIMEOUT),
        ("the worker's grace at shutdown", SHUTDOWN_GRACE),
        ("the container's stop time", STOP_TIMEOUT),
    ]
    for (inner, shorter), (outer, longer) in pairwise(chain):
        if shorter >= longer:
            raise ValueError(f"{inner} ({shorter}) must be shorter than {outer} ({longer})")
