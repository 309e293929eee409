import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from dotenv import dotenv_values

from settings import NothingSetError, Settings, SettingsError, read_settings
from tests.environment import COMPLETE, DATABASE_PASSWORD, alone

EXAMPLE = Path(__file__).resolve().parents[1] / ".env.example"
SECRETS = ("SIGNING_SECRET", "SIGNING_SECRET_PREVIOUS", "ADDRESS_HASH_KEY", "TEMPORAL_API_KEY")


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path) -> Iterator[None]:
    with alone(tmp_path, {}):
        yield


def read(tmp_path: Path, **values: str) -> Settings:
    with alone(tmp_path, {**COMPLETE, **values}):
        return read_settings()


def refusal(folder: Path, values: Mapping[str, str]) -> str:
    with alone(folder, values), pytest.raises(SettingsError) as refused:
        read_settings()
    return str(refused.value)


def line_of(text: str, name: str) -> str:
    [line] = [line for line in text.splitlines() if line.strip().startswith(name)]
    return line


def test_what_must_be_set_is_enough(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.campaign_click_url == "https://click.example"
    assert settings.api_keys_required
    assert settings.google_application_credentials is None


def test_an_empty_environment_names_all_that_must_be_set_at_once(tmp_path: Path) -> None:
    text = refusal(tmp_path, {})
    assert ".env.example" in text
    assert [line.split()[0] for line in text.splitlines()[1:]] == list(COMPLETE)


@pytest.mark.parametrize("empty", [False, True], ids=["missing", "empty"])
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("DATABASE_URL", "postgresql://user:password@host:5432/"),
        ("SIGNING_SECRET", "openssl rand -hex 32"),
        ("ADDRESS_HASH_KEY", "openssl rand -hex 32"),
        ("CAMPAIGN_CLICK_URL", "https://"),
    ],
)
def test_a_missing_setting_names_itself_and_its_remedy(*, tmp_path: Path, name: str, remedy: str, empty: bool) -> None:
    others = {each: value for each, value in COMPLETE.items() if each != name}
    text = refusal(tmp_path, others | ({name: ""} if empty else {}))
    assert f"{name} is not set" in line_of(text, name)
    assert remedy in line_of(text, name)
    assert not any(other in text for other in others)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("DATABASE_URL", "mysql://db.example/x", "postgresql://"),
        ("DATABASE_URL", "db.example:5432", "postgresql://"),
        ("DATABASE_URL", "postgresql://db.example:port/x", "postgresql://"),
        ("LOCKS_DATABASE_URL", "sqlite:///locks", "postgresql://"),
        ("SIGNING_SECRET", "short", "less than 32 bytes"),
        ("SIGNING_SECRET_PREVIOUS", "short", "less than 32 bytes"),
        ("ADDRESS_HASH_KEY", "x" * 31, "less than 32 bytes"),
        ("CAMPAIGN_CLICK_URL", "click.example", "http:// or https://"),
        ("CAMPAIGN_CLICK_URL", "ftp://click.example", "http:// or https://"),
        ("CAMPAIGN_CLICK_URL", "https://", "http:// or https://"),
        ("CAMPAIGN_CLICK_URL", "https://click.example:high", "http:// or https://"),
        ("CAMPAIGN_CLICK_URL", "https://[click.example", "http:// or https://"),
        ("CLICK_LANDING_URL", "javascript:alert(1)", "http:// or https://"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "localhost:8000", "http:// or https://"),
        ("MQTT_URL", "broker.example:1883", "mqtt://"),
        ("MQTT_URL", "http://broker.example", "mqtt://"),
        ("MQTT_URL", "mqtt://broker.example:many", "mqtt://"),
        ("TEMPORAL_ADDRESS", "temporal.example", "host:port"),
        ("TEMPORAL_ADDRESS", "http://temporal.example:7233", "host:port"),
        ("TEMPORAL_ADDRESS", "not an address:7233", "host:port"),
        ("TEMPORAL_ADDRESS", "temporal.example:seven", "host:port"),
        ("LOCK_BATTERY_TIME_ZONE", "Mars/Base", "Europe/Berlin"),
        ("LOCK_BATTERY_TIME_ZONE", "../etc/passwd", "Europe/Berlin"),
        ("LOCK_BATTERY_TIME_ZONE", "Europe", "Europe/Berlin"),
        ("LOCK_BATTERY_MISSED_RUNS", "never", "must be skip, late:6h"),
        ("LOCK_BATTERY_MISSED_RUNS", "late:40d", "from 1 minute to 31 days late"),
        ("API_PORT", "http", "integer"),
        ("API_PORT", "70000", "65535"),
        ("API_PORT", "-1", "greater than or equal to 1"),
        ("API_KEYS_REQUIRED", "perhaps", "boolean"),
        ("WORKER_SLOTS", "0", "greater than or equal to 1"),
        ("WORKER_SLOTS", "many", "integer"),
        ("WAIT_FOR_SERVERS_SECONDS", "0", "greater than or equal to 1"),
        ("CLICK_TOO_FAST_SECONDS", "-1", "greater than or equal to 0"),
        ("LOCKS_SCAN_SEGMENTS", "65", "less than or equal to 64"),
        ("LOCKS_READ_CAPACITY", "0", "greater than or equal to 1"),
        ("STALE_AFTER_DAYS", "a month", "integer"),
        ("STALE_AFTER_DAYS", "36500", "less than or equal to 3650"),
        ("LOCK_BATTERY_TTL_SECONDS", "0", "greater than or equal to 1"),
        (
            "EFFECTIVENESS_WINDOW_DAYS",
            "0",
            "greater than 0; it is how long after a notification",
        ),
        ("EFFECTIVENESS_WINDOW_DAYS", "nan", "such as 7"),
        ("EFFECTIVENESS_WINDOW_DAYS", "a week", "such as 7"),
        (
            "HOLDOUT_PERCENT",
            "100",
            "less than 100; it is the share that is left unsent",
        ),
        ("HOLDOUT_PERCENT", "-1", "0 holds nobody out"),
        ("HOLDOUT_PERCENT", "nan", "0 holds nobody out"),
        ("TIME_ZONE", "Mars/Base", "Europe/Berlin"),
        ("QUIET_HOURS", "at night", "21-8, or off"),
        ("QUIET_HOURS", "21-24", "less than or equal to 23"),
        ("QUIET_HOURS", "8-8", "none or all of the day"),
        ("CANARY_PERCENT", "100", "less than 100"),
        ("CANARY_WATCH_SECONDS", "-1", "greater than or equal to 0"),
        ("UNDO_SECONDS", "0", "greater than 0"),
        ("APPROVAL_ABOVE", "-1", "greater than or equal to 0"),
        ("HALT_FAILURE_PERCENT", "0", "greater than 0"),
        ("HALT_ACKNOWLEDGED_PERCENT", "101", "less than or equal to 100"),
        ("HALT_COMPLAINT_PERCENT", "some", "number"),
        ("HALT_AFTER", "0", "greater than or equal to 1"),
    ],
)
def test_an_unreadable_setting_names_itself_and_its_remedy(tmp_path: Path, name: str, value: str, remedy: str) -> None:
    line = line_of(refusal(tmp_path, COMPLETE | {name: value}), name)
    assert remedy in line


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_neither_in_the_repr_nor_in_a_dump(tmp_path: Path, name: str) -> None:
    secret = "told-to-nobody-" + "x" * 32
    settings = read(tmp_path, **{name: secret})
    assert secret not in repr(settings)
    assert secret not in str(settings.model_dump())
    assert getattr(settings, name.lower()).get_secret_value() == secret


def test_passwords_in_addresses_are_not_in_the_repr(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        LOCKS_DATABASE_URL="postgresql://reader:locks-password@db.example/x",
        MQTT_URL="mqtts://drumbeat:broker-password@broker.example",
    )
    shown = repr(settings)
    assert DATABASE_PASSWORD not in shown
    assert "locks-password" not in shown
    assert "broker-password" not in shown


def test_what_is_wrong_with_a_secret_is_said_without_it(tmp_path: Path) -> None:
    wrong = {
        "SIGNING_SECRET": "too-short-1",
        "ADDRESS_HASH_KEY": "too-short-2",
        "DATABASE_URL": "mysql://drumbeat:too-short-3@db.example/x",
        "MQTT_URL": "http://drumbeat:too-short-4@broker.example/x",
    }
    with alone(tmp_path, COMPLETE | wrong), pytest.raises(SettingsError) as refused:
        read_settings()
    assert "too-short" not in str(refused.value)
    assert str(refused.value).count("\n") == 4


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_without_api_keys_the_api_may_be_on_loopback(tmp_path: Path, host: str) -> None:
    assert not read(tmp_path, API_KEYS_REQUIRED="false", API_HOST=host).api_keys_required


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "api.example"])  # noqa: S104 - refused, never bound
def test_without_api_keys_the_api_may_be_nowhere_else(tmp_path: Path, host: str) -> None:
    text = refusal(tmp_path, COMPLETE | {"API_KEYS_REQUIRED": "false", "API_HOST": host})
    assert "API_KEYS_REQUIRED=false is accepted only while API_HOST is a loopback address" in text
    assert read(tmp_path, API_HOST=host).api_host == host


def test_addresses_are_brought_to_one_form(tmp_path: Path) -> None:
    settings = read(tmp_path, DATABASE_URL="postgres://db.example/x", CAMPAIGN_CLICK_URL="https://click.example/")
    assert settings.database_url == "postgresql://db.example/x"
    assert settings.campaign_click_url == "https://click.example"


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOCKS_TABLE=of_the_file\nSTALE_AFTER_DAYS=60\n")
    settings = read(tmp_path, LOCKS_TABLE="of_the_environment")
    assert settings.locks_table == "of_the_environment"
    assert settings.stale_after_days == 60


def test_where_nothing_is_set_the_error_says_so_by_its_type(tmp_path: Path) -> None:
    with alone(tmp_path, {}), pytest.raises(NothingSetError):
        read_settings()


@pytest.mark.parametrize("name", list(COMPLETE))
def test_where_a_part_is_set_it_is_a_mistake_and_not_nothing(tmp_path: Path, name: str) -> None:
    with alone(tmp_path, {name: COMPLETE[name]}), pytest.raises(SettingsError) as refused:
        read_settings()
    assert not isinstance(refused.value, NothingSetError)


def test_the_example_names_exactly_the_settings_that_exist() -> None:
    assert set(dotenv_values(EXAMPLE)) == {name.upper() for name in Settings.model_fields}


def test_every_setting_of_the_example_has_a_comment_of_its_own() -> None:
    lines = EXAMPLE.read_text().splitlines()
    bare = [line for before, line in pairwise(lines) if re.match(r"[A-Z]", line) and not before.startswith("#")]
    assert not bare


def test_the_example_sets_no_secret_and_nothing_that_must_be_chosen() -> None:
    example = dotenv_values(EXAMPLE)
    assert not any(example[name] for name in (*SECRETS, *COMPLETE))
    assert not re.search(r"://[^/\s]*:[^/\s]*@", re.sub(r"(?m)^#.*$", "", EXAMPLE.read_text()))


def test_the_values_of_the_example_are_the_defaults(tmp_path: Path) -> None:
    given = {name: value for name, value in dotenv_values(EXAMPLE).items() if value}
    assert read(tmp_path, **given) == read(tmp_path)
