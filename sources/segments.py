"""A table read in segments at once: where each stands, who reads next, and how fast."""

import random
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event
from typing import TypeVar

Page = TypeVar("Page")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
_SUCCESS_SHORTENS_TO = 0.8


@dataclass(frozen=True, slots=True)
class Place:
    segment: int
    segments: int
    after: str = ""
    """What was read last, in the table's own words; "" at the beginning."""

    def bookmark(self, following: "Place | None") -> tuple[str, str]:
        """(segment of how many, where to go on): the number of segments may have changed before the next try."""
        return f"{self.segment}/{self.segments}", following.after if following else ""


def places(bookmarks: Mapping[str, str], segments: int) -> list[Place]:
    """Where to go on: in all segments that the bookmarks do not call done, and in as many as they were made with."""
    of = next((int(segment.partition("/")[2]) for segment in bookmarks), segments)
    marked = ((segment, bookmarks.get(f"{segment}/{of}")) for segment in range(of))
    return [Place(segment, of, after or "") for segment, after in marked if after != ""]


def in_parallel(
    beginnings: Iterable[Place], read: Callable[[Place], tuple[Page, Place | None]], stopped: Event
) -> Generator[Page, None, None]:
    """Each segment's pages in their order, read ahead by one page a segment; `read` says where its segment goes on.

    When the reader stops early or a page fails, `stopped` is set and the threads are gone before this returns.
    """
    waiting = list(beginnings)
    with ThreadPoolExecutor(max(len(waiting), 1), thread_name_prefix="segment") as threads:
        reading: set[Future[tuple[Page, Place | None]]] = {threads.submit(read, place) for place in waiting}
        try:
            while reading:
                done, reading = wait(reading, return_when=FIRST_COMPLETED)
                for page, following in [future.result() for future in done]:
                    if following:
                        reading.add(threads.submit(read, following))
                    yield page
        finally:
            stopped.set()
            threads.shutdown(cancel_futures=True)


@dataclass(slots=True)
class Pace:
    """The pause before each call, one for all segments: a throttled call doubles it, each success shortens it.

    Calls that were throttled together double it once. An update lost between threads does no harm.
    """

    stopped: Event
    pause_seconds: float = field(default=0.0, init=False)

    def wait(self) -> float:
        """At most the pause that stands now, in seconds, which is returned; shorter for some, to spread the calls."""
        pause = self.pause_seconds
        if pause:
            self.stopped.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - keeps no secret
        return pause

    def throttled(self, after_pause: float) -> None:
        self.pause_seconds = max(self.pause_seconds, min(2 * after_pause, _LONGEST_PAUSE_SECONDS), _FIRST_PAUSE_SECONDS)

    def succeeded(self) -> None:
        shorter = self.pause_seconds * _SUCCESS_SHORTENS_TO
        self.pause_seconds = shorter if shorter >= _FIRST_PAUSE_SECONDS / 2 else 0.0
