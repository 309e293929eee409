import asyncio
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import structlog
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from api.entry import build_app
from campaigns.campaign import Schedule
from domain.hand_over import CHANNEL_TIMEOUT, check_nesting
from domain.missed import missed_runs_of
from domain.plan import Halt, Launch
from domain.rules import QuietHours
from domain.tokens import TokenForgedError
from sandbox.polling import wait_until
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres import PostgresServer
from sandbox.temporal_server import TemporalServer
from settings import Settings, SettingsError, read_settings
from tests.environment import COMPLETE, DATABASE_PASSWORD, alone
from wiring import (
    UnreachableError,
    await_database,
    build_channels,
    build_engine,
    build_house_rules,
    build_links,
    build_registry,
    build_signer,
    build_sources,
    connect_temporal,
)


@pytest.fixture(autouse=True)
def default_logging() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def settings_of(tmp_path: Path, **values: str) -> Settings:
    with alone(tmp_path, {**COMPLETE, "WAIT_FOR_SERVERS_SECONDS": "1", **values}):
        return read_settings()


def at_nobody(url: str) -> str:
    """The same address, where nobody listens."""
    return url.replace(":5432", f":{free_port()}")


def test_a_postgresql_that_is_away_is_waited_for_and_then_named(tmp_path: Path) -> None:
    url = at_nobody(COMPLETE["DATABASE_URL"])
    settings = settings_of(tmp_path, DATABASE_URL=url)
    engine = build_engine(settings, "test")
    with capture_logs() as said, pytest.raises(UnreachableError) as refused:
        await_database(engine, settings)
    told = str(refused.value)
    assert f"127.0.0.1:{urlsplit(url).port}" in told
    assert "(DATABASE_URL) did not answer within 1 s" in told
    assert "refused" in told
    assert "Start it, or correct the setting" in told
    assert "\n" not in told
    assert [line["event"] for line in said][:1] == ["waiting"]
    assert DATABASE_PASSWORD not in told + repr(said)


def test_a_password_that_postgresql_refuses_is_not_shown(postgres_server: PostgresServer, tmp_path: Path) -> None:
    parts = urlsplit(postgres_server.url)
    wrong = postgres_server.url.replace(f":{parts.password}@", f":{DATABASE_PASSWORD}@")
    settings = settings_of(tmp_path, DATABASE_URL=wrong)
    with pytest.raises(UnreachableError, match=r"DATABASE_URL.*password authentication failed") as refused:
        await_database(build_engine(settings, "test"), settings)
    assert DATABASE_PASSWORD not in str(refused.value)


def test_a_postgresql_that_is_there_is_not_waited_for(tmp_path: Path, database_url: str) -> None:
    settings = settings_of(tmp_path, DATABASE_URL=database_url)
    engine = build_engine(settings, "test-of-the-wiring")
    with capture_logs() as said:
        await_database(engine, settings)
    with engine.connect() as connection:
        assert connection.execute(text("show application_name")).scalar() == "test-of-the-wiring"
    engine.dispose()
    assert not said


def test_a_temporal_that_is_away_is_waited_for_and_then_named(tmp_path: Path) -> None:
    address = f"{LOOPBACK}:{free_port()}"
    settings = settings_of(tmp_path, TEMPORAL_ADDRESS=address)
    with capture_logs() as said, pytest.raises(UnreachableError) as refused:
        asyncio.run(connect_temporal(settings))
    told = str(refused.value)
    assert f"Temporal at {address} (TEMPORAL_ADDRESS) did not answer within 1 s" in told
    assert "refused" in told
    assert "Start it, or correct the setting" in told
    assert said[0]["event"] == "waiting"
    assert address in said[0]["for_"]


def test_a_temporal_that_takes_the_connection_and_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wiring.ANSWER_SECONDS", 0.2)
    with socket.create_server((LOOPBACK, 0)) as silent:
        settings = settings_of(tmp_path, TEMPORAL_ADDRESS=f"{LOOPBACK}:{silent.getsockname()[1]}")
        with pytest.raises(UnreachableError, match="no answer at all"):
            asyncio.run(connect_temporal(settings, patience_seconds=0))


def test_a_temporal_that_comes_late_is_found(tmp_path: Path, temporal_program: Path) -> None:
    port = free_port()
    settings = settings_of(tmp_path, TEMPORAL_ADDRESS=f"{LOOPBACK}:{port}", WAIT_FOR_SERVERS_SECONDS="60")
    server = TemporalServer(tmp_path, temporal_program, in_memory=True, headless=True, preferred_port=port)

    with ThreadPoolExecutor(1) as aside, capture_logs() as said:
        waiting = aside.submit(asyncio.run, connect_temporal(settings))
        wait_until(lambda: bool(said), 10, "it says that it waits")
        with server:
            assert asyncio.run(waiting.result().service_client.check_health())


def test_channels_are_off_without_credentials_and_say_so(tmp_path: Path) -> None:
    with capture_logs() as said:
        assert build_channels(settings_of(tmp_path)) == {}
    assert [(line["event"], line["channel"], line["remedy"]) for line in said] == [
        ("channel_off", "fcm", "set GOOGLE_APPLICATION_CREDENTIALS"),
        ("channel_off", "mqtt", "set MQTT_URL"),
    ]


def test_a_channel_with_credentials_is_on(tmp_path: Path) -> None:
    with capture_logs() as said:
        channels = build_channels(settings_of(tmp_path, MQTT_URL="mqtt://broker.example"))
    assert list(channels) == ["mqtt"]
    assert channels["mqtt"].facts.timeout_seconds == CHANNEL_TIMEOUT.total_seconds()
    assert [line["channel"] for line in said] == ["fcm"]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (None, "No such file"),
        ("not JSON", "Expecting value"),
        (json.dumps({"type": "authorized_user"}), "service_account"),
        (
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": "p",
                    "client_email": "a@b.example",
                    "token_uri": "x",
                    "private_key": "told-to-nobody",
                }
            ),
            "PEM",
        ),
    ],
    ids=["missing", "unreadable", "of another kind", "with a broken key"],
)
def test_unusable_credentials_are_an_error_at_start(tmp_path: Path, written: str | None, reason: str) -> None:
    file = tmp_path / "service-account.json"
    if written is not None:
        file.write_text(written)
    with pytest.raises(SettingsError, match=rf"GOOGLE_APPLICATION_CREDENTIALS cannot be used.*{reason}") as refused:
        build_channels(settings_of(tmp_path, GOOGLE_APPLICATION_CREDENTIALS=str(file)))
    assert "told-to-nobody" not in str(refused.value)


def test_a_certificate_of_the_broker_that_is_not_there_is_an_error_at_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, MQTT_URL="mqtts://broker.example", MQTT_CA_FILE=str(tmp_path / "ca.pem"))
    with pytest.raises(SettingsError, match="MQTT_CA_FILE cannot be used"):
        build_channels(settings)


def test_what_the_settings_say_of_a_campaign_is_its_default(tmp_path: Path) -> None:
    set_by_hand = {"EFFECTIVENESS_WINDOW_DAYS": "14", "HOLDOUT_PERCENT": "12.5"}
    registry = build_registry(
        settings_of(tmp_path, STALE_AFTER_DAYS="60", LOCK_BATTERY_TTL_SECONDS="90", **set_by_hand)
    )
    used = registry.parameters("lock_battery", {}).model_dump()
    assert used == {
        "stale_after_days": 60,
        "ttl_seconds": 90,
        "effectiveness_window_days": 14,
        "holdout_percent": 12.5,
    }
    assert registry.parameters("lock_battery", {"ttl_seconds": 5}).model_dump() == used | {"ttl_seconds": 5}


def test_nobody_is_written_to_at_night_unless_the_operator_says_so(tmp_path: Path) -> None:
    assert build_house_rules(settings_of(tmp_path)).quiet_hours == QuietHours(begin=21, end=8)
    assert build_house_rules(settings_of(tmp_path, QUIET_HOURS="22-7")).quiet_hours == QuietHours(begin=22, end=7)
    assert build_house_rules(settings_of(tmp_path, QUIET_HOURS="off")).quiet_hours is None


def test_the_operators_rules_are_settings(tmp_path: Path) -> None:
    launch = {"CANARY_PERCENT": "5", "CANARY_WATCH_SECONDS": "60", "UNDO_SECONDS": "30", "APPROVAL_ABOVE": "1000"}
    halt = {"HALT_FAILURE_PERCENT": "20", "HALT_ACKNOWLEDGED_PERCENT": "50", "HALT_COMPLAINT_PERCENT": "0.5"}
    rules = build_house_rules(settings_of(tmp_path, TIME_ZONE="Asia/Dhaka", HALT_AFTER="10", **launch, **halt))
    assert rules.zone == "Asia/Dhaka"
    assert rules.launch == Launch(canary_percent=5, canary_watch_seconds=60, undo_seconds=30, approval_above=1000)
    assert rules.halt == Halt(failure_percent=20, acknowledged_percent=50, complaint_percent=0.5, after=10)


def test_the_schedule_and_its_zone_are_settings(tmp_path: Path) -> None:
    weekly = build_registry(settings_of(tmp_path))["lock_battery"].schedule
    assert weekly == Schedule("0 9 * * MON", "UTC")
    daily = settings_of(tmp_path, LOCK_BATTERY_SCHEDULE="30 7 * * *", LOCK_BATTERY_TIME_ZONE="Europe/Berlin")
    assert build_registry(daily)["lock_battery"].schedule == Schedule("30 7 * * *", "Europe/Berlin")


@pytest.mark.parametrize("policy", ["skip", "late:6h", "once:2d"])
def test_what_becomes_of_missed_runs_is_a_setting(tmp_path: Path, policy: str) -> None:
    schedule = build_registry(settings_of(tmp_path, LOCK_BATTERY_MISSED_RUNS=policy))["lock_battery"].schedule
    assert schedule == Schedule("0 9 * * MON", "UTC", missed_runs_of(policy))


def test_a_schedule_can_be_off(tmp_path: Path) -> None:
    assert build_registry(settings_of(tmp_path, LOCK_BATTERY_SCHEDULE="off"))["lock_battery"].schedule is None


def test_a_new_signing_secret_leaves_links_of_the_last_one_valid(tmp_path: Path) -> None:
    old, new = "old-" + "o" * 32, "new-" + "n" * 32
    attempt = UUID(int=7)
    before = build_signer(settings_of(tmp_path, SIGNING_SECRET=old))
    after = build_signer(settings_of(tmp_path, SIGNING_SECRET=new, SIGNING_SECRET_PREVIOUS=old))
    without = build_signer(settings_of(tmp_path, SIGNING_SECRET=new))
    for token in (before.ack_token(attempt), after.ack_token(attempt)):
        after.check_ack_token(token, attempt)
    with pytest.raises(TokenForgedError):
        without.check_ack_token(before.ack_token(attempt), attempt)


def test_a_previous_signing_secret_that_is_the_present_one_is_an_error_at_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, SIGNING_SECRET_PREVIOUS=COMPLETE["SIGNING_SECRET"])
    with pytest.raises(SettingsError, match=r"SIGNING_SECRET_PREVIOUS cannot be used: .*make another one"):
        build_signer(settings)


def test_links_lead_to_the_address_of_the_settings(tmp_path: Path) -> None:
    links = build_links(settings_of(tmp_path, CAMPAIGN_CLICK_URL="https://go.example/"))
    base, _, token = links.click_url(UUID(int=7)).rpartition("/c/")
    assert base == "https://go.example"
    assert len(token) == 51


def test_time_outs_nest() -> None:
    check_nesting(CHANNEL_TIMEOUT)
    with pytest.raises(ValueError, match=r"all steps of a send.*must be shorter than the activity's start_to_close"):
        check_nesting(timedelta(seconds=12))
    with pytest.raises(ValueError, match="must be shorter than"):
        check_nesting(timedelta(seconds=30))


@pytest.fixture
def api_without_temporal(tmp_path: Path, database_url: str) -> Iterator[TestClient]:
    settings = settings_of(
        tmp_path, DATABASE_URL=database_url, TEMPORAL_ADDRESS=f"{LOOPBACK}:{free_port()}", API_KEYS_REQUIRED="false"
    )
    app = build_app(settings)
    app.state.relay._drain_seconds = 0.1  # a Temporal that is away for good need not be waited for
    with TestClient(app, raise_server_exceptions=False, base_url=f"http://{LOOPBACK}") as client:
        yield client
    app.state.parts.engine.dispose()


def test_the_api_starts_while_temporal_is_away_and_says_what_it_cannot_do(api_without_temporal: TestClient) -> None:
    assert api_without_temporal.get("/api/v1/runs").json()["runs"] == []
    refused = api_without_temporal.post("/api/v1/runs", json={"campaign": "lock_battery"})
    assert refused.status_code == 503
    assert refused.json()["type"] == "/docs#temporal-unavailable"
    assert api_without_temporal.get("/readyz").status_code == 503


def test_the_api_is_made_inside_a_running_loop_too(tmp_path: Path, database_url: str) -> None:
    """As uvicorn does it with --factory and --workers."""
    settings = settings_of(tmp_path, DATABASE_URL=database_url)

    async def make() -> Engine:
        engine: Engine = build_app(settings).state.parts.engine
        return engine

    asyncio.run(make()).dispose()


@pytest.mark.parametrize(("given", "wanted"), [("", None), ("7", 7)])
def test_the_locks_are_read_with_the_capacity_of_the_setting(tmp_path: Path, given: str, wanted: int | None) -> None:
    settings = settings_of(tmp_path, LOCKS_READ_CAPACITY=given)
    locks = build_sources(settings, build_engine(settings, "test"))["locks"]
    assert locks._capacity._wanted == wanted
