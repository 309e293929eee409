import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text
from temporalio.client import Client

from db.api_keys import Scope, find_key
from db.engine import create_database_engine, transaction
from db.tables import ApiKey, AuditEntry, Message, Run
from domain.ids import run_id_of, run_workflow_id
from domain.states import RunState
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres import PostgresServer
from sandbox.temporal_server import TemporalServer
from tests.api.rows import add_run, add_sent_message, stored
from tests.console.terminal import Terminal
from tests.environment import COMPLETE, DATABASE_PASSWORD

PROJECT = Path(__file__).resolve().parents[1]
COMMANDS = (
    ("demo",),
    ("up",),
    ("run",),
    ("runs",),
    ("show",),
    ("pause",),
    ("resume",),
    ("cancel",),
    ("release",),
    ("proof",),
    ("campaigns",),
    ("migrate",),
    ("worker",),
    ("api",),
    ("key", "create"),
)
OF_A_RUN = ("show", "pause", "resume", "cancel", "release", "proof")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_database_engine(database_url, pool_size=2)
    yield engine
    engine.dispose()


@pytest.fixture
def drumbeat(
    tmp_path: Path, database_url: str, temporal_server: TemporalServer, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    addresses = {
        "DATABASE_URL": database_url,
        "TEMPORAL_ADDRESS": temporal_server.address,
        "WAIT_FOR_SERVERS_SECONDS": "1",
    }
    return Terminal(tmp_path, {**COMPLETE, **addresses}, capsys)


@pytest.fixture
def nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """Where nothing is set, and nobody listens."""
    return Terminal(tmp_path, {}, capsys)


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def state_of(engine: Engine, run_id: UUID) -> str:
    [run] = [run for run in stored(engine, Run) if run.id == run_id]
    return run.state


# What can be asked


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(nowhere: Terminal, command: tuple[str, ...]) -> None:
    said = nowhere(*command, "--help")
    assert said.code == 0
    assert f"drumbeat {' '.join(command)}" in said.out
    assert len(said.out.splitlines()) > 4


def test_the_list_of_commands_is_complete(nowhere: Terminal) -> None:
    said = nowhere("--help")
    assert all(f" {name} " in said.out for name, *_ in COMMANDS)


def test_a_word_that_is_no_command_is_refused(nowhere: Terminal) -> None:
    said = nowhere("launch")
    assert said.code == 2
    assert "No such command 'launch'" in said.err


# Without an environment


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


# Servers that are not there


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


# Campaigns and parameters


def test_the_campaigns_are_listed_with_their_schedule_and_the_operators_defaults(drumbeat: Terminal) -> None:
    said = drumbeat("campaigns", STALE_AFTER_DAYS="60", LOCK_BATTERY_TIME_ZONE="Europe/Berlin")
    assert said.code == 0
    for shown in ("lock_battery", "0 9 * * MON", "Europe/Berlin", "stale_after_days=60"):
        assert shown in said.out
    assert "never" in drumbeat("campaigns", LOCK_BATTERY_SCHEDULE="off").out


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_an_unknown_campaign_is_refused_with_those_that_there_are(drumbeat: Terminal, options: tuple[str, ...]) -> None:
    """Before anybody waits for a Temporal that is away."""
    said = drumbeat("run", "birthday", *options, TEMPORAL_ADDRESS=f"{LOOPBACK}:{free_port()}")
    assert said.code == 1
    assert said.err.strip().endswith("there is no campaign 'birthday'; there are: lock_battery")


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize(
    ("param", "problem"),
    [
        ("stale_after_days=soon", "parameter stale_after_days: Input should be a valid integer"),
        ("stale_after_days=0", "parameter stale_after_days: Input should be greater than or equal to 1"),
        ("stale_after_days=[1]", "parameter stale_after_days: Input should be a valid integer"),
        ("colour=red", "there is no parameter 'colour'"),
        ("[/]=1", "there is no parameter '[/]'"),
        ("[red]=1", "there is no parameter '[red]'"),
    ],
)
def test_a_bad_parameter_is_named(drumbeat: Terminal, options: tuple[str, ...], param: str, problem: str) -> None:
    said = drumbeat("run", "lock_battery", *options, "--param", param)
    assert said.code == 1
    assert problem in said.err


@pytest.mark.parametrize("given", ["stale_after_days", "[/]", ""])
def test_a_parameter_without_a_value_is_refused(drumbeat: Terminal, given: str) -> None:
    said = drumbeat("run", "lock_battery", "--param", given)
    assert said.code == 2
    assert f"'{given}' is not name=value" in said.err


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_that_is_none_is_refused(drumbeat: Terminal, limit: str) -> None:
    said = drumbeat("run", "lock_battery", "--limit", limit)
    assert said.code == 2
    assert "--limit" in said.err


@pytest.mark.parametrize("key", ["with space", "x" * 101, "[/]"])
def test_an_idempotency_key_that_cannot_be_used_is_refused(drumbeat: Terminal, key: str) -> None:
    said = drumbeat("run", "lock_battery", "--key", key)
    assert said.code == 1
    assert "idempotency key" in said.err
    assert key[:20] in said.err


def test_a_run_without_a_worker_is_started_and_says_that_nobody_has_taken_it_up(
    drumbeat: Terminal, monkeypatch: pytest.MonkeyPatch, temporal_client: Client
) -> None:
    monkeypatch.setattr("cli.TAKEN_UP_WITHIN_SECONDS", 0.1)
    key = uuid4().hex
    run_id = run_id_of(run_workflow_id("lock_battery", key))
    words = ("run", "lock_battery", "--key", key, "--limit", "3", "--param", "ttl_seconds=60")
    first, second = drumbeat(*words), drumbeat(*words)
    asyncio.run(temporal_client.get_workflow_handle(f"run:lock_battery-{key}").terminate())
    assert first.code == second.code == 0
    assert f"Started: run {run_id}" in first.out
    assert "No worker has taken it up yet" in first.out
    assert f"Started before: run {run_id}" in second.out


def test_a_dry_run_whose_dynamodb_is_away_says_so(drumbeat: Terminal, engine: Engine) -> None:
    change(engine, "create table public.lock_user_mapping (lock_id text, user_id text, fcm_id text)")
    url = f"http://{LOOPBACK}:{free_port()}"
    aws = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    said = drumbeat("run", "lock_battery", "--dry-run", AWS_ENDPOINT_URL_DYNAMODB=url, **aws)
    assert said.code == 1
    assert f"cannot read from DynamoDB at {url}" in said.err
    assert "AWS_ENDPOINT_URL_DYNAMODB" in said.err
    assert "Traceback" not in said.err
    assert "channel_off" in said.err
    assert said.out == ""


def test_a_channel_with_unusable_credentials_is_a_clear_error(drumbeat: Terminal) -> None:
    said = drumbeat("run", "lock_battery", "--dry-run", GOOGLE_APPLICATION_CREDENTIALS="/no/such/file.json")
    assert said.code == 1
    assert "GOOGLE_APPLICATION_CREDENTIALS cannot be used" in said.err


# Runs


def test_runs_are_listed_the_newest_first(drumbeat: Terminal, engine: Engine) -> None:
    assert drumbeat("runs").out == "No run yet: `drumbeat run CAMPAIGN` starts one.\n"
    for slot in ("spring", "summer", "autumn"):
        add_run(engine, slot)
    said = drumbeat("runs")
    assert said.code == 0
    assert said.out.index("autumn") < said.out.index("summer") < said.out.index("spring")
    newest = drumbeat("runs", "--limit", "1").out
    assert "autumn" in newest
    assert "summer" not in newest


def test_a_run_is_shown_once_as_it_stands(drumbeat: Terminal, engine: Engine) -> None:
    sent = add_sent_message(engine)
    said = drumbeat("show", str(sent.run_id)[:8], "--once")
    assert said.code == 0
    for shown in ("lock_battery", "spring", "running", str(sent.run_id), "0 of 1 ended, 1 handed over", "awaiting"):
        assert shown in said.out


def test_a_run_that_is_closed_is_shown_and_not_waited_for(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine, state=RunState.CLOSED, targeted=0)
    change(engine, "update drumbeat.runs set closed_at = now()")
    assert "closed" in drumbeat("show", str(run_id)).out


@pytest.mark.parametrize("reference", ["spring", "5d0d57d2-0000-0000-0000-000000000000", "[/]", "[red]", "%", ""])
@pytest.mark.parametrize("command", OF_A_RUN)
def test_an_unknown_run_is_refused(drumbeat: Terminal, engine: Engine, command: str, reference: str) -> None:
    add_run(engine)
    said = drumbeat(command, reference)
    assert said.code == 1
    assert said.err == f"there is no run {reference!r}: `drumbeat runs` lists them\n"


@pytest.mark.parametrize("by", ["id", "beginning", "slot", "workflow"])
def test_a_run_is_found_by_each_of_its_names(drumbeat: Terminal, engine: Engine, by: str) -> None:
    run_id, workflow_id = add_run(engine)
    names = {
        "id": str(run_id).upper(),
        "beginning": str(run_id)[:8],
        "slot": "lock_battery-spring",
        "workflow": workflow_id,
    }
    assert drumbeat("pause", names[by]).code == 0
    assert state_of(engine, run_id) == RunState.PAUSED


# Control


def test_a_pause_can_be_repeated(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine)
    first, second = drumbeat("pause", str(run_id)), drumbeat("pause", str(run_id))
    assert (first.code, first.out) == (0, "Paused; 0 in flight.\n")
    assert (second.code, second.out) == (0, "Was paused already; 0 in flight.\n")
    assert [entry.action for entry in stored(engine, AuditEntry)] == ["start", "pause"]
    assert stored(engine, AuditEntry)[-1].actor.startswith("cli:")


def test_a_paused_run_goes_on(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine)
    drumbeat("pause", str(run_id))
    said = drumbeat("resume", str(run_id))
    assert said.code == 0
    assert "Resumed; 0 were held, deadlines have moved by" in said.out
    assert state_of(engine, run_id) == RunState.RUNNING


def test_a_run_that_is_not_paused_cannot_be_resumed(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine)
    said = drumbeat("resume", str(run_id))
    assert said.code == 1
    assert said.err == "cannot resume a run that is running: only a paused run can be resumed\n"


def test_a_run_is_cancelled_and_nothing_of_it_goes_on(drumbeat: Terminal, engine: Engine) -> None:
    sent = add_sent_message(engine)
    first, second = drumbeat("cancel", str(sent.run_id)), drumbeat("cancel", str(sent.run_id))
    assert first.out == "Cancelled; 0 withdrawn, 0 in flight, 1 sent and still awaited.\n"
    assert second.out == "Was cancelled already; 0 withdrawn, 0 in flight, 1 sent and still awaited.\n"
    for command in ("pause", "release"):
        said = drumbeat(command, str(sent.run_id))
        assert said.code == 1
        assert "a run that is cancelled" in said.err


def test_more_of_a_limited_run_is_released_but_never_less(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine, targeted=10)
    change(engine, "update drumbeat.runs set released_up_to = 2")
    assert drumbeat("release", str(run_id), "5").out == "5 of 10 are released.\n"
    less = drumbeat("release", str(run_id), "3")
    assert (less.code, "5 are released already" in less.err) == (1, True)
    assert drumbeat("release", str(run_id)).out == "10 of 10 are released.\n"


# Proof


def test_a_ledger_that_balances_is_proven(drumbeat: Terminal, engine: Engine) -> None:
    sent = add_sent_message(engine)
    said = drumbeat("proof", str(sent.run_id))
    assert said.code == 0
    assert "balanced" in said.out
    assert "1 targeted at the snapshot, 1 rows now" in said.out


@pytest.mark.parametrize(
    ("damage", "shown"),
    [
        ("update drumbeat.messages set state = 'failed', ended_at = now()", "this is what its attempts end in"),
        ("update drumbeat.messages set state = 'planned'", "this is where its attempts leave it"),
        ("delete from drumbeat.messages", "1 targeted at the snapshot, 0 rows now"),
        ("update drumbeat.runs set targeted = 2", "2 targeted at the snapshot, 1 rows now"),
    ],
)
def test_a_ledger_that_was_broken_by_hand_does_not_prove(
    drumbeat: Terminal, engine: Engine, damage: str, shown: str
) -> None:
    sent = add_sent_message(engine)
    change(engine, damage)
    said = drumbeat("proof", str(sent.run_id))
    assert said.code == 1
    assert "DOES NOT BALANCE" in said.out
    assert shown in said.out
    assert stored(engine, Message) == [] or str(sent.message_id) in said.out or "targeted = 2" in damage


# Keys


def test_a_key_is_printed_alone_and_opens_what_its_scopes_say(drumbeat: Terminal, engine: Engine) -> None:
    said = drumbeat(
        "key", "create", "night shift", "--scope", "view", "--scope", "operate", "--days", "30", COLUMNS="40"
    )
    assert said.code == 0
    with transaction(engine) as session:
        known = find_key(session, said.out.removesuffix("\n"))
    assert known is not None
    assert known.name == "night shift"
    assert sorted(known.scopes) == ["operate", "view"]
    [row] = stored(engine, ApiKey)
    assert row.expires_at is not None
    assert timedelta(days=29) < row.expires_at - datetime.now(UTC) <= timedelta(days=30)
    assert "only its hash is stored" in said.err


def test_an_unknown_scope_is_refused_with_those_that_there_are(drumbeat: Terminal, engine: Engine) -> None:
    said = drumbeat("key", "create", "night shift", "--scope", "everything")
    assert said.code == 2
    assert "everything" in said.err
    assert all(scope in said.err for scope in Scope)
    assert stored(engine, ApiKey) == []


def test_a_key_without_a_scope_is_refused(drumbeat: Terminal) -> None:
    said = drumbeat("key", "create", "night shift")
    assert said.code == 2
    assert "--scope" in said.err


def test_parameters_are_taken_as_json_where_they_are(drumbeat: Terminal) -> None:
    from cli import _parameters  # noqa: PLC0415 - beside the only test that looks inside

    given = ["days=7", "name=lock", 'names=["a", "b"]', "text=a=b", "none=null", "id=007"]
    assert json.dumps(_parameters(given)) == json.dumps(
        {"days": 7, "name": "lock", "names": ["a", "b"], "text": "a=b", "none": None, "id": "007"}
    )
