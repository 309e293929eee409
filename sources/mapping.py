"""Who owns which lock: the customer's table `lock_user_mapping`, only ever read."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Engine,
    Integer,
    TableClause,
    Text,
    Uuid,
    any_,
    cast,
    column,
    inspect,
    literal,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import InterfaceError, NoSuchTableError, OperationalError, SQLAlchemyError
from sqlalchemy.types import TypeEngine

from domain.problems import ProblemError, TemporaryProblemError

TABLE = "lock_user_mapping"
COLUMNS = ("lock_id", "user_id", "fcm_id")
_BIGINTS = range(-(2**63), 2**63)


class MappingUnreadableError(ProblemError):
    """The mapping cannot be read: the table or a column is missing, the database is not there, or we may not."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"cannot read the table public.{TABLE} with its columns {', '.join(COLUMNS)}: {reason}; "
            "LOCKS_DATABASE_URL (default: DATABASE_URL) must name the database that has it, with a user who may read it"
        )


class MappingUnreachableError(MappingUnreadableError, TemporaryProblemError):
    """The database of the mapping does not answer."""


@dataclass(frozen=True, slots=True)
class Owner:
    user_id: str
    fcm_id: str | None


class LockMapping:
    """The table (or view) as the customer has it: ids of any type are asked for and given as text.

    Each call of `owners_of` is one query by `lock_id`: from some ten thousand rows on, that column wants an index.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._columns = _find_table(engine).c
        self._ids = _comparison(self._columns.lock_id.type)

    def owners_of(self, lock_ids: Collection[str]) -> Mapping[str, tuple[Owner, ...]]:
        """By lock, its owners in order; one with several tokens comes once with each, in the order of their text."""
        by_value = {value: lock_id for lock_id in lock_ids if (value := self._ids.value(lock_id)) is not None}
        owners: dict[str, set[Owner]] = defaultdict(set)
        for value, user_id, fcm_id in self._rows(list(by_value)) if by_value else ():
            if user_id and not user_id.isspace():
                owners[by_value[value]].add(Owner(user_id, (fcm_id or "").strip() or None))
        return {lock_id: _in_order(found) for lock_id, found in owners.items()}

    def _rows(self, values: list[object]) -> list[tuple[Any, ...]]:
        lock_id = self._columns.lock_id if self._ids.as_they_are else cast(self._columns.lock_id, Text)
        query = select(lock_id, cast(self._columns.user_id, Text), cast(self._columns.fcm_id, Text)).where(
            lock_id == any_(literal(values, ARRAY(self._ids.type)))
        )
        try:
            with self._engine.connect().execution_options(postgresql_readonly=True) as connection:
                return [tuple(row) for row in connection.execute(query)]
        except SQLAlchemyError as error:
            raise _unreadable(error) from error


@dataclass(frozen=True, slots=True)
class _Comparison:
    """How lock ids are compared: as the column's own type where a cast would lose its index, else as text."""

    type: TypeEngine[Any]
    value: Callable[[str], object]
    """What an id is in that type; None where it cannot be in the column."""
    as_they_are: bool = True


def _comparison(column_type: TypeEngine[Any]) -> _Comparison:
    if isinstance(column_type, Integer):
        return _Comparison(BigInteger(), _as_bigint)
    if isinstance(column_type, Uuid):
        return _Comparison(Uuid(), _as_uuid)
    return _Comparison(Text(), _as_text, as_they_are=False)


def _as_bigint(lock_id: str) -> int | None:
    try:
        value = int(lock_id)
    except ValueError:
        return None
    return value if value in _BIGINTS and str(value) == lock_id else None


def _as_uuid(lock_id: str) -> UUID | None:
    try:
        value = UUID(lock_id)
    except ValueError:
        return None
    return value if str(value) == lock_id.lower() else None


def _as_text(lock_id: str) -> str | None:
    return None if "\0" in lock_id else lock_id  # PostgreSQL's text cannot hold one


def _find_table(engine: Engine) -> TableClause:
    try:
        types = {found["name"]: found["type"] for found in inspect(engine).get_columns(TABLE, schema="public")}
    except NoSuchTableError as error:
        raise MappingUnreadableError("there is no such table") from error
    except SQLAlchemyError as error:
        raise _unreadable(error) from error
    if missing := [name for name in COLUMNS if name not in types]:
        raise MappingUnreadableError(f"it has no column {', '.join(missing)}")
    return table(TABLE, *(column(name, types[name]) for name in COLUMNS), schema="public")


def _in_order(owners: set[Owner]) -> tuple[Owner, ...]:
    """A row without a token says nothing where the same person has one for this lock."""
    with_token = {owner.user_id for owner in owners if owner.fcm_id}
    wanted = (owner for owner in owners if owner.fcm_id or owner.user_id not in with_token)
    return tuple(sorted(wanted, key=lambda owner: (owner.user_id, owner.fcm_id or "")))


def _unreadable(error: SQLAlchemyError) -> MappingUnreadableError:
    unreachable = isinstance(error, OperationalError | InterfaceError)
    return (MappingUnreachableError if unreachable else MappingUnreadableError)(_first_line(error))


def _first_line(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", error)).strip().partition("\n")[0]
