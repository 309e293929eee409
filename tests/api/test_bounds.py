from dataclasses import dataclass, field

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from api.bounds import MovingWindow, client_of


@dataclass
class Clock:
    now: float = 0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bound:
    limit: int
    remembered: int = 100
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.window = MovingWindow(self.limit, 60, remembered=self.remembered, clock=self.clock)

    def admits(self, host: str = "192.0.2.1", at: float = 0) -> bool:
        self.clock.now = at
        return self.window.admits(of(host))


def of(host: str) -> Request:
    return Request({"type": "http", "headers": [], "client": (host, 40000)})


def test_a_client_is_refused_what_is_more_than_its_share_of_a_minute() -> None:
    bound = Bound(limit=2)

    assert [bound.admits(at=0), bound.admits(at=30), bound.admits(at=59)] == [True, True, False]
    assert [bound.admits(at=60), bound.admits(at=61), bound.admits(at=90)] == [True, False, True]


def test_clients_have_a_share_each() -> None:
    bound = Bound(limit=1)

    assert [bound.admits("192.0.2.1"), bound.admits("192.0.2.2"), bound.admits("192.0.2.1")] == [True, True, False]


def test_the_client_that_was_silent_longest_is_forgotten_first() -> None:
    bound = Bound(limit=1, remembered=2)
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert bound.admits(host)

    assert [bound.admits("192.0.2.3"), bound.admits("192.0.2.1")] == [False, True]


@given(limit=st.integers(1, 5), pauses=st.lists(st.floats(0, 40), max_size=60))
def test_no_minute_ever_holds_more_than_the_limit(limit: int, pauses: list[float]) -> None:
    bound, at = Bound(limit), 0.0
    admitted: list[float] = []
    for pause in pauses:
        at += pause
        if bound.admits(at=at):
            admitted.append(at)
    for first in admitted:
        assert sum(first <= other < first + 60 for other in admitted) <= limit


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_all_addresses_of_one_host_are_one_client(host: str, client: str) -> None:
    assert client_of(of(host)) == client


def test_a_caller_without_an_address_is_one_client_too() -> None:
    assert client_of(Request({"type": "http", "headers": [], "client": None})) == ""
