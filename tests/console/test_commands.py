"""What every command says of itself, and what it says where something is missing."""

import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from console.order import PANELS
from domain.states import RunState
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres import PostgresServer
from tests.api.rows import add_run
from tests.console.rows import state_of
from tests.console.terminal import Terminal
from tests.environment import COMPLETE, DATABASE_PASSWORD

PROJECT = Path(__file__).resolve().parents[2]
COMMANDS = (
    ("demo",),
    ("up",),
    ("run",),
    ("rehearse",),
    ("runs",),
    ("missed",),
    ("figures",),
    ("show",),
    ("pause",),
    ("resume",),
    ("cancel",),
    ("release",),
    ("approve",),
    ("proof",),
    ("campaigns",),
    ("migrate",),
    ("worker",),
    ("api",),
    ("health",),
    ("key", "create"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(nowhere: Terminal, command: tuple[str, ...]) -> None:
    said = nowhere(*command, "--help")
    assert said.code == 0
    assert f"drumbeat {' '.join(command)}" in said.out
    assert len(said.out.splitlines()) > 4


def test_the_list_of_commands_is_complete_and_in_the_order_of_what_somebody_wants(nowhere: Terminal) -> None:
    said = nowhere("--help")
    assert all(f" {name} " in said.out for name, *_ in COMMANDS)
    listed = [line.split()[1] for line in said.out.splitlines() if re.match(r"│ [a-z]", line)]
    assert listed == [name for names in PANELS.values() for name in names]
    assert "Entry" not in said.out


def test_a_word_that_is_no_command_is_refused(nowhere: Terminal) -> None:
    said = nowhere("launch")
    assert said.code == 2
    assert "No such command 'launch'" in said.err


def test_without_any_environment_the_command_says_what_to_set_and_shows_no_traceback(tmp_path: Path) -> None:
    """As a program of its own, with the interpreter's own idea of an uncaught error."""
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, str(PROJECT / "cli.py"), "runs"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert [line.split()[0] for line in ended.stderr.splitlines()[1:]] == list(COMPLETE)


@pytest.mark.parametrize("command", [("runs",), ("run", "lock_battery"), ("campaigns",), ("migrate",), ("worker",)])
def test_every_command_that_needs_settings_names_those_that_are_missing(
    nowhere: Terminal, command: tuple[str, ...]
) -> None:
    said = nowhere(*command)
    assert said.code == 1
    assert "DATABASE_URL is not set: postgresql://user:password@host:5432/" in said.err


def test_the_embedded_stack_is_found_and_named(nowhere: Terminal, database_url: str) -> None:
    embedded = nowhere.folder / ".drumbeat" / "demo" / "environment"
    embedded.parent.mkdir(parents=True)
    values = {**COMPLETE, "DATABASE_URL": database_url, "STALE_AFTER_DAYS": "77"}
    embedded.write_text("".join(f'{name}="{value}"\n' for name, value in values.items()))
    said = nowhere("runs")
    assert said.code == 0
    assert "using the embedded stack of .drumbeat/demo" in said.err
    assert said.out == "No run yet: `drumbeat run CAMPAIGN` starts one.\n"
    assert "stale_after_days=77" in nowhere("campaigns").out


def test_the_embedded_stack_is_not_mixed_with_an_environment_that_has_a_mistake(nowhere: Terminal) -> None:
    """Else a command would reach the database of a deployment and the Temporal of a demo."""
    embedded = nowhere.folder / ".drumbeat" / "environment"
    embedded.parent.mkdir(parents=True)
    embedded.write_text("".join(f'{name}="{value}"\n' for name, value in COMPLETE.items()))
    said = nowhere("runs", DATABASE_URL=COMPLETE["DATABASE_URL"])
    assert said.code == 1
    assert "embedded" not in said.out + said.err
    assert "SIGNING_SECRET is not set" in said.err


def test_a_database_that_is_away_is_waited_for_and_named_without_its_password(drumbeat: Terminal) -> None:
    port = free_port()
    said = drumbeat("runs", DATABASE_URL=f"postgresql://drumbeat:{DATABASE_PASSWORD}@{LOOPBACK}:{port}/drumbeat")
    assert said.code == 1
    assert said.out == ""
    assert "waiting" in said.err
    assert f"127.0.0.1:{port}/drumbeat (DATABASE_URL) did not answer within 1 s" in said.err
    assert DATABASE_PASSWORD not in said.err
    assert "Traceback" not in said.err


def test_a_temporal_that_is_away_is_waited_for_and_named(drumbeat: Terminal) -> None:
    address = f"{LOOPBACK}:{free_port()}"
    said = drumbeat("run", "lock_battery", TEMPORAL_ADDRESS=address)
    assert said.code == 1
    assert f"Temporal at {address} (TEMPORAL_ADDRESS) did not answer within 1 s" in said.err
    assert "Traceback" not in said.err


def test_a_namespace_that_temporal_does_not_know_is_named(drumbeat: Terminal) -> None:
    said = drumbeat("run", "lock_battery", TEMPORAL_NAMESPACE="elsewhere")
    assert said.code == 1
    assert "TEMPORAL_NAMESPACE" in said.err
    assert "elsewhere" in said.err


def test_a_worker_names_a_schedule_that_temporal_refuses(drumbeat: Terminal) -> None:
    said = drumbeat("worker", LOCK_BATTERY_SCHEDULE="every monday")
    assert said.code == 1
    assert "LOCK_BATTERY_SCHEDULE" in said.err


def test_a_pause_holds_while_temporal_is_away(
    drumbeat: Terminal, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.desk.COURTESY_SECONDS", 0.1)
    run_id, _ = add_run(engine)
    said = drumbeat("pause", str(run_id), TEMPORAL_ADDRESS=f"{LOOPBACK}:{free_port()}")
    assert said.code == 0
    assert "It holds; Temporal will notice when it is back" in said.out
    assert "Paused; 0 in flight." in said.out
    assert state_of(engine, run_id) == RunState.PAUSED


def test_a_database_without_our_tables_asks_for_the_migration(
    drumbeat: Terminal, postgres_server: PostgresServer
) -> None:
    url = postgres_server.create_database(f"empty_{uuid4().hex}")
    said = drumbeat("runs", DATABASE_URL=url)
    assert said.code == 1
    assert "drumbeat migrate" in said.err
    assert drumbeat("migrate", DATABASE_URL=url).code == 0
    again = drumbeat("migrate", DATABASE_URL=url)
    assert (again.code, again.out) == (0, "The schema drumbeat is up to date.\n")
    assert drumbeat("runs", DATABASE_URL=url).out.startswith("No run yet")


def test_a_database_that_cannot_hold_every_name_is_refused_with_the_remedy(
    drumbeat: Terminal, engine: Engine, postgres_server: PostgresServer
) -> None:
    name = f"ascii_{uuid4().hex}"
    form = "encoding 'SQL_ASCII' locale_provider libc lc_collate 'C' lc_ctype 'C' template template0"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create database {name} {form}"))
    said = drumbeat("migrate", DATABASE_URL=postgres_server.url_of(name))
    assert said.code == 1
    assert f"/{name} (DATABASE_URL) is not encoded in UTF8" in said.err
    assert "TEMPLATE template0" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("command", ["up", "demo"])
def test_where_the_sandbox_is_not_installed_its_commands_say_so(
    nowhere: Terminal, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """As in the image of a deployment."""
    monkeypatch.setitem(sys.modules, f"sandbox.{command}", None)
    said = nowhere(command)
    assert said.code == 1
    assert f"sandbox.{command} is not installed here: `up` and `demo` need the sandbox" in said.err
