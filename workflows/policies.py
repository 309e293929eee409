"""Time-outs and retries, by name. They nest; domain/hand_over.py says how."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy

from domain.hand_over import ADVANCE_TIMEOUT


class Policy(TypedDict, total=False):
    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy


_PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(seconds=30)
)

ADVANCE = Policy(start_to_close_timeout=ADVANCE_TIMEOUT, retry_policy=_PATIENT)
"""No heartbeat: what a dead worker had claimed is taken up when its time is over."""

DATABASE_STEP = Policy(start_to_close_timeout=timedelta(seconds=30), retry_policy=_PATIENT)

SNAPSHOT = Policy(
    start_to_close_timeout=timedelta(hours=6), heartbeat_timeout=timedelta(minutes=2), retry_policy=_PATIENT
)
"""Millions of rows take hours; a dead worker is noticed when its heartbeat stops."""

MEASURE = Policy(
    start_to_close_timeout=timedelta(hours=6),
    heartbeat_timeout=timedelta(minutes=10),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=5)
    ),
)
"""For as long as it takes: a table that cannot be read today is read when somebody has mended it."""

CONTROL = Policy(
    start_to_close_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(maximum_attempts=5, maximum_interval=timedelta(seconds=5)),
)
