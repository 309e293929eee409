"""How fast the locks are read, in virtual time."""

from __future__ import annotations  # the stubs' names exist for mypy alone

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from sandbox.dynamodb import put_locks
from sandbox.people import World
from sources import locks_table
from sources.capacity import ReadCapacity
from sources.locks import Locks
from tests.sources.lock_rows import KEY, MONTH, SCAN, create_table, rows_of, stale_rows
from tests.sources.refusals import Refused

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

UNITS_OF_A_SCAN = 1.0
"""What moto says each costs."""


class VirtualTime:
    """A clock that only pauses move on; several threads pause at once, as in real time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._lock = threading.Lock()
        self._seen = threading.local()

    def clock(self) -> float:
        self._seen.now = self.now
        return self.now

    def pause(self, stopped: threading.Event, seconds: float) -> bool:
        with self._lock:
            self.now = max(self.now, self._seen.now + seconds)
        return stopped.is_set()

    def capacity(self, wanted: float | None = None) -> ReadCapacity:
        return ReadCapacity(wanted, self.clock, self.pause)


def described(units: int) -> TableDescriptionTypeDef:
    """As DynamoDB says it: of a table on demand, 0 units."""
    return {"ProvisionedThroughput": {"ReadCapacityUnits": units}}


def test_what_a_call_cost_keeps_the_next_one_waiting_until_it_is_paid_off() -> None:
    time = VirtualTime()
    capacity = time.capacity(10)
    assert capacity.seconds_owed() == 0
    capacity.spent(25)
    assert capacity.seconds_owed() == pytest.approx(2.5)
    time.now += 1
    capacity.spent(5)
    assert capacity.seconds_owed() == pytest.approx(2.0)
    time.now += 2
    assert capacity.seconds_owed() == 0


def test_what_was_not_spent_is_saved_for_a_second_and_no_longer() -> None:
    time = VirtualTime()
    capacity = time.capacity(10)
    time.now += 3600
    capacity.spent(10)
    assert capacity.seconds_owed() == 0
    capacity.spent(10)
    assert capacity.seconds_owed() == pytest.approx(1)


@pytest.mark.parametrize("cost", [0.5, 12.5, 128])
def test_over_any_length_of_time_no_more_is_spent_than_the_rate(cost: float) -> None:
    time = VirtualTime()
    capacity = time.capacity(25)
    begun, spent = time.now, 0.0
    for call in range(1, 201):
        assert capacity.wait(threading.Event(), at_most=float("inf"))
        capacity.spent(cost)
        spent = call * cost
        assert spent <= 25 * (time.now - begun) + cost + 1e-6
    assert spent == pytest.approx(25 * (time.now - begun) + cost)  # and no slower than that


def test_segments_together_spend_no_more_than_one_would() -> None:
    time = VirtualTime()
    capacity = time.capacity(10)
    begun = time.now

    def read_on() -> None:
        for _ in range(50):
            assert capacity.wait(threading.Event(), at_most=float("inf"))
            capacity.spent(5)

    segments = [threading.Thread(target=read_on) for _ in range(4)]
    for segment in segments:
        segment.start()
    for segment in segments:
        segment.join()
    spent = 4 * 50 * 5
    assert spent <= 10 * (time.now - begun) + 4 * 5 + 1e-6


def test_a_wait_ends_when_it_has_lasted_long_enough_and_the_rest_is_still_owed() -> None:
    time = VirtualTime()
    capacity = time.capacity(1)
    capacity.spent(30)
    assert not capacity.wait(threading.Event(), at_most=20)
    assert capacity.seconds_owed() == pytest.approx(10)
    assert capacity.wait(threading.Event(), at_most=20)


def test_a_wait_ends_at_once_when_the_walk_is_stopped() -> None:
    capacity = ReadCapacity(1)
    capacity.spent(3600)
    stopped = threading.Event()
    stopped.set()
    assert not capacity.wait(stopped, at_most=3600)


def test_a_wait_that_has_begun_ends_when_the_walk_is_stopped() -> None:
    capacity = ReadCapacity(1)
    capacity.spent(3600)
    stopped = threading.Event()
    ended: list[bool] = []
    waiting = threading.Thread(target=lambda: ended.append(capacity.wait(stopped, at_most=3600)))
    waiting.start()
    stopped.set()
    waiting.join(timeout=30)
    assert ended == [False]


@pytest.mark.parametrize(
    ("wanted", "description", "seconds"),
    [
        (None, described(10), 2.0),
        (None, described(1), 20.0),
        (None, described(0), 0.0),
        (None, None, 0.0),
        (20, described(10), 0.5),
        (20, described(0), 0.5),
        (20, None, 0.5),
    ],
)
def test_ours_is_the_setting_else_half_of_what_is_provisioned_else_all_we_can_get(
    wanted: float | None, description: TableDescriptionTypeDef | None, seconds: float
) -> None:
    capacity = VirtualTime().capacity(wanted)
    capacity.suit(description)
    capacity.spent(10)
    assert capacity.seconds_owed() == pytest.approx(seconds)


def test_what_is_owed_stays_owed_when_the_rate_changes() -> None:
    capacity = VirtualTime().capacity()
    capacity.suit(described(10))
    capacity.spent(10)
    capacity.suit(described(40))
    assert capacity.seconds_owed() == pytest.approx(0.5)


def test_a_table_that_we_may_not_describe_is_said_once_with_the_remedy() -> None:
    capacity = ReadCapacity()
    with capture_logs() as said:
        for _ in range(3):
            capacity.suit(None)
    (line,) = said
    assert "DescribeTable is denied" in line["because"]
    assert line["remedy"] == "allow it, or set LOCKS_READ_CAPACITY"


def test_nothing_is_said_where_the_setting_decides() -> None:
    with capture_logs() as said:
        ReadCapacity(5).suit(None)
    assert said == []


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("segments", [1, 4])
def test_a_walk_and_what_is_read_again_after_it_keep_to_the_rate(
    world: World, open_locks: Callable[..., Locks], segments: int
) -> None:
    time = VirtualTime()
    begun = time.now
    locks = open_locks(segments=segments, capacity=time.capacity(0.5))
    pages = list(locks.stale(MONTH, SCAN))
    assert rows_of(pages) == stale_rows(world)
    scans = sum(page.bookmark is not None for page in pages)
    assert scans >= len(world.locks) / 20
    assert scans * UNITS_OF_A_SCAN <= 0.5 * (time.now - begun) + segments * UNITS_OF_A_SCAN
    walked = time.now
    locks.last_checks([lock.id for lock in world.locks])
    # Of its three calls the first waits for the walk's last page, the others for 100 units each.
    assert time.now - walked >= 2 * 100 / 0.5


@pytest.mark.usefixtures("small_pages", "world")
def test_a_walk_that_waits_for_long_gives_signs_of_life_and_loses_no_place(
    world: World, open_locks: Callable[..., Locks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks_table, "LONGEST_SILENCE_SECONDS", 20.0)
    pages = list(open_locks(segments=2, capacity=VirtualTime().capacity(0.01)).stale(MONTH, SCAN))
    signs = [page for page in pages if page.bookmark is None]
    assert len(signs) > len(pages) / 2
    assert not any(page.locks or page.left_out or page.noted for page in signs)
    assert rows_of(pages) == stale_rows(world)


def test_the_capacity_of_a_provisioned_table_is_halved_and_one_on_demand_is_read_at_once(
    client: DynamoDBClient, open_locks: Callable[..., Locks]
) -> None:
    waited = []
    for provisioned in (2, None):
        name = f"locks-{uuid4().hex}"
        create_table(client, name, "S", provisioned=provisioned)
        put_locks(client, name, [{KEY: "a"}])
        time = VirtualTime()
        begun = time.now
        locks = open_locks(table_name=name, capacity=time.capacity())
        for _ in range(2):
            locks.last_checks(["a"])
        waited.append(time.now - begun)
    assert waited == [pytest.approx(1.0), 0.0]


def test_where_describing_is_denied_the_walk_goes_on_without_a_limit(
    world: World, our_client: Callable[[], DynamoDBClient], open_locks: Callable[..., Locks]
) -> None:
    denied = Refused("AccessDeniedException", 400, refuses=lambda _: True, operation="DescribeTable")
    time = VirtualTime()
    begun = time.now
    locks = open_locks(connect=lambda: denied.on(our_client()), capacity=time.capacity())
    with capture_logs() as said:
        for _ in range(2):
            assert rows_of(list(locks.stale(MONTH, SCAN))) == stale_rows(world)
    assert [line["event"] for line in said] == ["locks_are_read_without_a_limit"]
    assert time.now == begun
