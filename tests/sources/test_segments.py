import threading
from collections import Counter

import pytest

from sources.segments import Pace, Place, in_parallel, places

PAGES = 5


def walk(place: Place) -> tuple[tuple[int, int], Place | None]:
    """Segments of PAGES pages, numbered from 1."""
    number = int(place.after or 0) + 1
    following = Place(place.segment, place.segments, str(number)) if number < PAGES else None
    return (place.segment, number), following


def threads_of_segments() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("segment")]


def test_every_page_of_every_segment_comes_once_and_in_the_order_of_its_segment() -> None:
    pages = list(in_parallel(places({}, 3), walk, threading.Event()))
    for segment in range(3):
        assert [number for of, number in pages if of == segment] == [1, 2, 3, 4, 5]
    assert len(pages) == 3 * PAGES


def test_only_one_page_is_read_ahead_of_the_reader() -> None:
    read: list[int] = []
    was_read = threading.Semaphore(0)

    def counted(place: Place) -> tuple[tuple[int, int], Place | None]:
        page = walk(place)
        read.append(page[0][1])
        was_read.release()
        return page

    for _, number in in_parallel(places({}, 1), counted, threading.Event()):
        if number == 1:
            assert was_read.acquire(timeout=10)
        if number < PAGES:
            assert was_read.acquire(timeout=10)  # the page ahead
            assert read == list(range(1, number + 2))
    assert read == [1, 2, 3, 4, 5]


def test_a_reader_that_stops_early_ends_the_threads_also_the_one_that_waits() -> None:
    stopped = threading.Event()

    def slow_second_page(place: Place) -> tuple[tuple[int, int], Place | None]:
        if place.after:
            assert stopped.wait(timeout=30)
        return walk(place)

    pages = in_parallel(places({}, 2), slow_second_page, stopped)
    assert next(pages)[1] == 1
    assert threads_of_segments()
    pages.close()
    assert threads_of_segments() == []


def test_a_page_that_fails_ends_the_others_and_reaches_the_reader() -> None:
    stopped = threading.Event()

    def failing(place: Place) -> tuple[tuple[int, int], Place | None]:
        if place.segment == 1:
            raise LookupError("broken")
        assert stopped.wait(timeout=30)
        return walk(place)

    with pytest.raises(LookupError, match="broken"):
        list(in_parallel(places({}, 3), failing, stopped))
    assert threads_of_segments() == []


def test_a_walk_goes_on_after_the_bookmarks_and_leaves_out_the_segments_that_are_done() -> None:
    bookmarks = dict([Place(0, 3).bookmark(None), Place(2, 3).bookmark(Place(2, 3, "4"))])
    pages = list(in_parallel(places(bookmarks, 3), walk, threading.Event()))
    assert Counter(segment for segment, _ in pages) == {1: PAGES, 2: 1}


def test_a_walk_keeps_the_number_of_segments_that_its_bookmarks_were_made_with() -> None:
    bookmarks = dict([Place(0, 3).bookmark(None)])
    assert places(bookmarks, 8) == [Place(1, 3), Place(2, 3)]


def test_a_walk_whose_segments_are_all_done_reads_nothing() -> None:
    bookmarks = dict(Place(segment, 2).bookmark(None) for segment in range(2))
    assert list(in_parallel(places(bookmarks, 2), walk, threading.Event())) == []


def test_throttling_slows_all_segments_down_and_success_speeds_them_up_again() -> None:
    pace = Pace(threading.Event())
    pauses = []
    for _ in range(10):
        pace.throttled(pace.pause_seconds)
        pauses.append(pace.pause_seconds)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10])
    for _ in range(30):
        pace.succeeded()
    assert pace.pause_seconds == 0


def test_calls_that_are_throttled_together_slow_down_once() -> None:
    pace = Pace(threading.Event())
    pace.throttled(0)
    for _ in range(4):
        pace.throttled(0.1)
    assert pace.pause_seconds == pytest.approx(0.2)


def test_a_pause_ends_at_once_when_the_walk_is_stopped() -> None:
    stopped = threading.Event()
    stopped.set()
    pace = Pace(stopped)
    pace.pause_seconds = 3600
    assert pace.wait() == 3600
