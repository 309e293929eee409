"""`drumbeat run`, `campaigns` and `key create`."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine
from temporalio.client import Client

from console.parameters import read_parameters
from db.api_keys import Scope, find_key
from db.engine import transaction
from db.tables import ApiKey, AuditEntry
from domain.ids import run_id_of, run_workflow_id
from sandbox.ports import LOOPBACK, free_port
from tests.api.rows import stored
from tests.console.rows import change
from tests.console.terminal import Terminal


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
        ("effectiveness_window_days=0", "parameter effectiveness_window_days: Input should be greater than 0"),
        ("holdout_percent=100", "parameter holdout_percent: Input should be less than 100"),
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


@pytest.mark.parametrize("limit", ["0", "-1", "many", str(2**31)])
def test_a_limit_that_is_none_is_refused_before_a_run_is_started(drumbeat: Terminal, limit: str) -> None:
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


def test_a_bypass_of_frequency_caps_is_audited_shown_and_not_taken_for_an_ordinary_run(
    drumbeat: Terminal, monkeypatch: pytest.MonkeyPatch, temporal_client: Client, engine: Engine
) -> None:
    monkeypatch.setattr("cli.TAKEN_UP_WITHIN_SECONDS", 0.1)
    key = uuid4().hex
    words = ("run", "lock_battery", "--key", key)
    first, again, other = (drumbeat(*words, *more) for more in [["--bypass-frequency-caps"]] * 2 + [[]])
    asyncio.run(temporal_client.get_workflow_handle(f"run:lock_battery-{key}").terminate())
    assert [said.code for said in (first, again, other)] == [0, 0, 1]
    run_id = run_id_of(run_workflow_id("lock_battery", key))
    assert f"has started run {run_id} with a bypass of frequency caps: use another key" in other.err
    assert [entry.action for entry in stored(engine, AuditEntry)] == ["start", "bypass_frequency_caps"]
    assert "frequency caps are bypassed" in drumbeat("show", str(run_id), "--once").out


def test_a_dry_run_whose_dynamodb_is_away_says_so(drumbeat: Terminal, engine: Engine) -> None:
    change(engine, "create table public.lock_user_mapping (lock_id text, user_id text, fcm_id text)")
    url = f"http://{LOOPBACK}:{free_port()}"
    aws = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    said = drumbeat(
        "run", "lock_battery", "--dry-run", AWS_ENDPOINT_URL_DYNAMODB=url, MQTT_URL="mqtt://127.0.0.1", **aws
    )
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


def test_parameters_are_taken_as_json_where_they_are(drumbeat: Terminal) -> None:

    given = ["days=7", "name=lock", 'names=["a", "b"]', "text=a=b", "none=null", "id=007"]
    assert json.dumps(read_parameters(given)) == json.dumps(
        {"days": 7, "name": "lock", "names": ["a", "b"], "text": "a=b", "none": None, "id": "007"}
    )


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
