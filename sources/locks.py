"""Stale locks and their owners: one walk through the customer's DynamoDB table `locks`."""

from __future__ import annotations  # the stubs' names exist for mypy alone

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from domain.last_check import LastCheck, Standing, is_stale
from domain.message import Scan
from sources.capacity import ReadCapacity
from sources.dynamodb import PATIENCE, connected
from sources.locks_table import LocksTable
from sources.mapping import LockMapping
from sources.segments import Place, in_parallel, places

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SEGMENTS = 4


@dataclass(frozen=True, slots=True)
class MappedLock:
    """A stale lock, once for each owner and each of the owner's tokens."""

    lock_id: str
    user_id: str
    fcm_id: str | None
    last_check: LastCheck


@dataclass(frozen=True, slots=True)
class LockPage:
    locks: tuple[MappedLock, ...]
    left_out: Mapping[str, int]
    """Locks by reason: fresh, or unmapped (stale, but nobody's)."""
    noted: Mapping[str, int]
    """Stale locks, mapped or not: never_checked, unreadable. Owners of a lock: without_token."""
    bookmark: tuple[str, str] | None


class Locks:
    """The customer's locks, read only. `connect` makes the client of one walk, which closes it."""

    def __init__(
        self,
        connect: Callable[[], DynamoDBClient],
        table_name: str,
        last_check_field: str,
        mapping_engine: Engine,
        segments: int = SEGMENTS,
        *,
        patience: timedelta = PATIENCE,
        capacity: ReadCapacity | None = None,
    ) -> None:
        self._connect = connect
        self._table_name = table_name
        self._last_check_field = last_check_field
        self._mapping_engine = mapping_engine
        self._segments = segments
        self._patience = patience
        self._capacity = capacity or ReadCapacity()

    def stale(self, older_than: timedelta, scan: Scan) -> Generator[LockPage, None, None]:
        """The locks last checked longer ago than that at `scan.as_of`, with their owners, a page at a time.

        A page's bookmark holds once the page is stored. A segment keeps its order, the segments mix; a page may be
        empty, and one that only says that the walk waits for read capacity has no bookmark either.
        Raises a LocksUnreadableError or sources.mapping.MappingUnreadableError, once it is iterated.
        """
        mapping = LockMapping(self._mapping_engine)
        with self._table() as table:

            def read(place: Place) -> tuple[LockPage, Place | None]:
                checks, following = table.page(place)
                stale = {lock_id: check for lock_id, check in checks.items() if is_stale(check, scan.as_of, older_than)}
                bookmark = place.bookmark(following) if following != place else None
                return _page(stale, len(checks), mapping, bookmark), following

            yield from in_parallel(places(scan.bookmarks, self._segments), read, table.stopped)

    def last_checks(self, lock_ids: Collection[str]) -> Mapping[str, LastCheck]:
        """How these locks stand now, by their ids; one that is gone from the table is not in the answer.

        Some thousand ids a call are well, in any order and as often as they come. Each costs half a unit of read
        capacity (for an item of up to 4 kB), so that on a small table they take their time.
        Raises a LocksUnreadableError.
        """
        if not lock_ids:
            return {}
        with self._table() as table:
            return table.checks_of(lock_ids)

    @contextmanager
    def _table(self) -> Iterator[LocksTable]:
        with closing(connected(self._connect)) as client:
            yield LocksTable(client, self._table_name, self._last_check_field, self._patience, self._capacity)


def _page(
    stale: Mapping[str, LastCheck], seen: int, mapping: LockMapping, bookmark: tuple[str, str] | None
) -> LockPage:
    owners = mapping.owners_of(stale.keys())
    locks = tuple(
        MappedLock(lock_id, owner.user_id, owner.fcm_id, check)
        for lock_id, check in stale.items()
        for owner in owners.get(lock_id, ())
    )
    left_out = Counter(fresh=seen - len(stale), unmapped=len(stale) - len(owners))
    noted = Counter(str(check.standing) for check in stale.values() if check.standing is not Standing.CHECKED)
    noted["without_token"] = sum(lock.fcm_id is None for lock in locks)
    return LockPage(locks, +left_out, +noted, bookmark)
