from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from db.engine import create_database_engine
from sandbox.ports import free_port
from sources.mapping import LockMapping, MappingUnreadableError, Owner

UUID_TEXT = "3f2b6a52-9f0e-4b0e-8c1d-5a1f0c9d7e11"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_database_engine(database_url, pool_size=1)
    yield engine
    engine.dispose()


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def make_mapping(engine: Engine, lock_type: str = "text", user_type: str = "text", rows: str = "") -> None:
    execute(engine, f"create table public.lock_user_mapping (lock_id {lock_type}, user_id {user_type}, fcm_id text)")
    if rows:
        execute(engine, f"insert into public.lock_user_mapping values {rows}")  # noqa: S608 - the tests' own text


def test_a_lock_has_all_its_owners_and_an_owner_all_tokens_in_their_order(engine: Engine) -> None:
    of_a = "('a', 'u2', 't9'), ('a', 'u1', 't3'), ('a', 'u1', 't1'), ('a', 'u1', 't2')"
    make_mapping(engine, rows=f"{of_a}, ('b', 'u1', 't1')")
    assert LockMapping(engine).owners_of({"a", "b", "c"}) == {
        "a": (Owner("u1", "t1"), Owner("u1", "t2"), Owner("u1", "t3"), Owner("u2", "t9")),
        "b": (Owner("u1", "t1"),),
    }


def test_rows_that_say_the_same_are_one(engine: Engine) -> None:
    make_mapping(engine, rows="('a', 'u', 't'), ('a', 'u', 't'), ('a', 'u', ' t '), ('b', 'u', null), ('b', 'u', '')")
    assert LockMapping(engine).owners_of(["a", "b"]) == {"a": (Owner("u", "t"),), "b": (Owner("u", None),)}


@pytest.mark.parametrize("blank", ["null", "''", "'  '"])
def test_a_mapping_without_a_token_counts_only_where_the_owner_has_none(engine: Engine, blank: str) -> None:
    make_mapping(engine, rows=f"('a', 'u', {blank}), ('b', 'u', {blank}), ('b', 'u', 't')")
    assert LockMapping(engine).owners_of(["a", "b"]) == {"a": (Owner("u", None),), "b": (Owner("u", "t"),)}


def test_a_mapping_without_a_user_is_nobodys(engine: Engine) -> None:
    make_mapping(engine, rows="('a', null, 't'), ('b', '', 't'), ('c', ' ', 't'), (null, 'u', 't')")
    assert LockMapping(engine).owners_of(["a", "b", "c", "None", ""]) == {}


@pytest.mark.parametrize(
    ("lock_type", "known", "unknown"),
    [
        ("text", "lock/7 é", "LOCK/7 é"),
        ("varchar(40)", "lock-7", "lock-8"),
        ("char(40)", "lock-7", "lock-8"),
        ("integer", "7", "07"),
        ("smallint", "7", "70000"),
        ("bigint", "9223372036854775807", "9223372036854775808"),
        ("numeric", "7", "8"),
        ("uuid", UUID_TEXT, "no uuid"),
    ],
)
def test_lock_ids_of_any_type_are_compared_as_text(engine: Engine, lock_type: str, known: str, unknown: str) -> None:
    make_mapping(engine, lock_type, rows=f"('{known}', 'u', 't')")
    assert LockMapping(engine).owners_of([known, unknown, "zero\0byte", ""]) == {known: (Owner("u", "t"),)}


def test_a_uuid_is_found_by_its_capital_letters_too(engine: Engine) -> None:
    make_mapping(engine, "uuid", rows=f"('{UUID_TEXT}', 'u', 't')")
    assert LockMapping(engine).owners_of([UUID_TEXT.upper()]) == {UUID_TEXT.upper(): (Owner("u", "t"),)}


@pytest.mark.parametrize(("user_type", "user"), [("bigint", "42"), ("uuid", UUID_TEXT), ("char(9)", "u42")])
def test_user_ids_of_any_type_become_text(engine: Engine, user_type: str, user: str) -> None:
    make_mapping(engine, user_type=user_type, rows=f"('a', '{user}', 't')")
    assert LockMapping(engine).owners_of(["a"]) == {"a": (Owner(user, "t"),)}


def test_no_locks_need_no_query(engine: Engine) -> None:
    make_mapping(engine)
    mapping = LockMapping(engine)
    execute(engine, "drop table public.lock_user_mapping")
    assert mapping.owners_of([]) == {}


def test_the_mapping_may_be_a_view_and_is_read_in_a_transaction_that_cannot_write(engine: Engine) -> None:
    execute(
        engine,
        """create view public.lock_user_mapping as
           select 'a' as lock_id, current_setting('transaction_read_only') as user_id, 't' as fcm_id, 1 as more""",
    )
    assert LockMapping(engine).owners_of(["a"]) == {"a": (Owner("on", "t"),)}
    execute(engine, "create table public.written_after (id int)")


def test_only_the_public_schemas_table_is_the_mapping(engine: Engine) -> None:
    execute(engine, "create table drumbeat.lock_user_mapping (lock_id text, user_id text, fcm_id text)")
    with pytest.raises(MappingUnreadableError):
        LockMapping(engine)


@pytest.mark.parametrize(
    ("lock_type", "lock"), [("text", "7"), ("varchar(9)", "7"), ("integer", "7"), ("uuid", UUID_TEXT)]
)
def test_an_index_on_the_lock_is_used_whatever_its_type(engine: Engine, lock_type: str, lock: str) -> None:
    make_mapping(engine, lock_type)
    execute(engine, "create index by_lock on public.lock_user_mapping (lock_id)")
    mapping = LockMapping(engine)
    asked: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2:4]))
    mapping.owners_of([lock])
    ((statement, parameters),) = asked
    with engine.connect() as connection:
        connection.exec_driver_sql("set enable_seqscan = off")
        plan = connection.exec_driver_sql(f"explain {statement}", parameters).scalars().all()
    assert "Index Cond" in "\n".join(plan)


def test_a_missing_table_is_named_with_its_setting_and_the_columns_wanted(engine: Engine) -> None:
    with pytest.raises(MappingUnreadableError) as raised:
        LockMapping(engine)
    for named in ("public.lock_user_mapping", "lock_id, user_id, fcm_id", "no such table", "LOCKS_DATABASE_URL"):
        assert named in str(raised.value)


def test_a_missing_column_is_named(engine: Engine) -> None:
    execute(engine, "create table public.lock_user_mapping (lock_id text, fcm text)")
    with pytest.raises(MappingUnreadableError, match="no column user_id, fcm_id; LOCKS_DATABASE_URL"):
        LockMapping(engine)


def test_a_query_that_fails_says_why(engine: Engine) -> None:
    execute(engine, "create view public.lock_user_mapping as select 'a' as lock_id, 1 / 0 as user_id, 't' as fcm_id")
    with pytest.raises(MappingUnreadableError, match="division by zero; LOCKS_DATABASE_URL"):
        LockMapping(engine).owners_of(["a"])


def test_a_database_that_is_not_there_says_so() -> None:
    nowhere = create_database_engine(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing", pool_size=1)
    with pytest.raises(MappingUnreadableError, match="LOCKS_DATABASE_URL"):
        LockMapping(nowhere)
