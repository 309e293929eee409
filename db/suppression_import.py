"""A file of suppressions taken into the list, in pages; what cannot be read is reported and the rest is taken."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import Engine

from db.audit import write_audit
from db.engine import transaction
from db.suppressions import NewEntry, put_down_many
from domain.hashing import AddressHasher
from domain.suppression_list import Entry, Refused, read_list

AT_ONCE = 1000
REPORTED_AT_MOST = 100


@dataclass(slots=True)
class Imported:
    rows: int = 0
    added: int = 0
    refused: int = 0
    reported: list[Refused] = field(default_factory=list)
    """The first of the refused."""

    @property
    def known(self) -> int:
        """Good ones that were on the list before, or came twice."""
        return self.rows - self.added - self.refused


def import_list(engine: Engine, lines: Iterable[bytes], hash_address: AddressHasher, *, actor: str) -> Imported:
    """A transaction for each page, so that a list of any length and a slow pipe hold nothing open.

    Raises BadListError where the file as a whole is no list; nothing is stored then. Where it breaks off later, what
    came before is kept, and written down.
    """
    done = Imported()
    rows = read_list(lines, hash_address)
    try:
        while page := list(islice(rows, AT_ONCE)):
            _take(engine, page, done)
    finally:
        if done.rows:
            with transaction(engine) as session:
                counts = {"rows": done.rows, "added": done.added, "refused": done.refused}
                write_audit(session, actor, "import_suppressions", None, **counts)
    return done


def _take(engine: Engine, page: list[Entry | Refused], done: Imported) -> None:
    entries = [NewEntry(each.channel, each.address_hash, each.reason) for each in page if isinstance(each, Entry)]
    refused = [each for each in page if isinstance(each, Refused)]
    with transaction(engine) as session:
        done.added += put_down_many(session, entries)
    done.rows += len(page)
    done.refused += len(refused)
    done.reported += refused[: REPORTED_AT_MOST - len(done.reported)]
