"""The environment, typed, read once. Nothing else reads it. Names without a default must be set; secrets have none."""

import os
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from domain.missed import MissedRuns, missed_runs_of
from domain.plan import CanaryPercent, HoldoutPercent, Percent, UndoSeconds, Zone
from domain.rules import USUAL_QUIET_HOURS, QuietHours

SECRET_BYTES = 32
_MAKE_ONE = "make one with `openssl rand -hex 32`"
_REMEDIES = {
    "DATABASE_URL": "postgresql://user:password@host:5432/name of Drumbeat's own database",
    "SIGNING_SECRET": f"signs links and acknowledgements: {_MAKE_ONE}",
    "ADDRESS_HASH_KEY": f"hashes addresses in the suppression list, and must never change: {_MAKE_ONE}",
    "CAMPAIGN_CLICK_URL": "the public https:// address of this API, where links in messages lead",
}
_HINTS = {
    "HOLDOUT_PERCENT": "it is the share that is left unsent: 10 compares nine tenths with one, 0 holds nobody out",
    "EFFECTIVENESS_WINDOW_DAYS": "it is how long after a notification a battery check counts, such as 7",
}


class SettingsError(Exception):
    """What is missing or unreadable in the environment, each with its remedy."""


class NothingSetError(SettingsError):
    """Not one of the settings that must be there is set."""


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < SECRET_BYTES:
        raise ValueError(f"has less than {SECRET_BYTES} bytes; {_MAKE_ONE}")
    return secret


def _a_postgresql_url(url: str) -> str:
    try:
        scheme = make_url(url).drivername
    except (ArgumentError, ValueError):
        scheme = None
    if scheme not in {"postgresql", "postgres"}:
        raise ValueError("must be postgresql://user:password@host:5432/name")
    return url.replace("postgres://", "postgresql://", 1)


def _an_http_url(url: str) -> str:
    if not _is_address(url, "http", "https") or urlsplit(url).username:
        raise ValueError("must be an http:// or https:// address with a host and without a user")
    return url.rstrip("/")


def _an_mqtt_url(url: str) -> str:
    if not _is_address(url, "mqtt", "mqtts"):
        raise ValueError("must be mqtt://user:password@host:1883 or mqtts://…:8883")
    return url


def _host_and_port(address: str) -> str:
    if not _is_address(f"temporal://{address}", "temporal") or urlsplit(f"//{address}").port is None:
        raise ValueError("must be host:port, such as 127.0.0.1:7233")
    return address


def _is_address(url: str, *schemes: str) -> bool:
    """Without a word of what is wrong with it: the words of `urlsplit` may quote a password."""
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and " " not in url
    except ValueError:
        return False


def _quiet_hours(given: object) -> object:
    """`21-8`, or `off`; anything else that is text is refused with the remedy."""
    if not isinstance(given, str):
        return given
    if given == "off":
        return None
    begin, dash, end = given.partition("-")
    if not (dash and begin.isdecimal() and end.isdecimal()):
        raise ValueError("must be two whole hours such as 21-8, or off")
    return {"begin": int(begin), "end": int(end)}


def _missed_runs(given: object) -> object:
    return missed_runs_of(given) if isinstance(given, str) else given


Secret = Annotated[SecretStr, AfterValidator(_long_enough)]
DatabaseUrl = Annotated[str, AfterValidator(_a_postgresql_url)]
HttpUrl = Annotated[str, AfterValidator(_an_http_url)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
MqttUrl = Annotated[str, AfterValidator(_an_mqtt_url)]
Unshown = Field(repr=False)
"""It may carry a password."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    # Ours
    database_url: Annotated[DatabaseUrl, Unshown]
    signing_secret: Secret
    """Signs click links and acknowledgements."""
    signing_secret_previous: Secret | None = None
    """Still accepted while a new one takes over."""
    address_hash_key: Secret
    temporal_address: HostAndPort = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    temporal_api_key: SecretStr | None = None
    temporal_tls: bool = False
    wait_for_servers_seconds: Annotated[int, Field(ge=1)] = 60
    """How long a start waits for Temporal and PostgreSQL before it gives up."""
    worker_slots: Annotated[int, Field(ge=1, le=50)] = 50
    """Sends at once in one worker."""

    # The operator's own rules, for campaigns whose file says nothing of them
    time_zone: Zone = "UTC"
    """Of a recipient whose own is not known."""
    quiet_hours: Annotated[QuietHours | None, BeforeValidator(_quiet_hours), NoDecode] = USUAL_QUIET_HOURS
    """In each recipient's zone, as `21-8`; `off`: none."""
    canary_percent: CanaryPercent | None = None
    canary_watch_seconds: Annotated[int, Field(ge=0)] = 600
    undo_seconds: UndoSeconds | None = None
    approval_above: Annotated[int, Field(ge=0)] | None = None
    halt_failure_percent: Percent | None = None
    halt_acknowledged_percent: Percent | None = None
    halt_complaint_percent: Percent | None = None
    halt_after: Annotated[int, Field(ge=1)] = 50

    # HTTP
    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    api_keys_required: bool = True
    campaign_click_url: HttpUrl
    click_landing_url: HttpUrl | None = None
    """Where a click takes a person; unset: our own thank-you page."""
    click_too_fast_seconds: Annotated[float, Field(ge=0)] = 3
    """A click sooner than this after the sending is a scanner's."""

    # Channels; without its credentials a channel is off
    google_application_credentials: Path | None = None
    mqtt_url: Annotated[MqttUrl | None, Unshown] = None
    mqtt_ca_file: Path | None = None

    # The lock battery campaign
    locks_table: str = "locks"
    lock_last_check_field: str = "last_battery_check"
    locks_database_url: Annotated[DatabaseUrl | None, Unshown] = None
    """Where `lock_user_mapping` is; unset: DATABASE_URL."""
    locks_scan_segments: Annotated[int, Field(ge=1, le=64)] = 4
    locks_read_capacity: Annotated[int, Field(ge=1)] | None = None
    """Units a second; unset: half of what the table has provisioned."""
    aws_region: str | None = None
    aws_endpoint_url_dynamodb: HttpUrl | None = None
    stale_after_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """Unset, here and below: as the campaign's own file says."""
    lock_battery_ttl_seconds: Annotated[int, Field(ge=1, le=28 * 24 * 3600)] | None = None
    effectiveness_window_days: Annotated[float, Field(gt=0, le=365, allow_inf_nan=False)] | None = None
    holdout_percent: HoldoutPercent | None = None
    lock_battery_schedule: str | None = None
    """Cron; `off` means never by itself."""
    lock_battery_time_zone: Zone | None = None
    lock_battery_missed_runs: Annotated[MissedRuns | None, BeforeValidator(_missed_runs), NoDecode] = None

    @model_validator(mode="after")
    def _open_only_on_loopback(self) -> Self:
        if not self.api_keys_required and self.api_host not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("API_KEYS_REQUIRED=false is accepted only while API_HOST is a loopback address")
        return self


_REQUIRED = {name for name, field in Settings.model_fields.items() if field.is_required()}


def read_settings(**given: Any) -> Settings:  # noqa: ANN401 - any field, for tests and the embedded stack
    """Raises SettingsError, which names every setting that is missing or unreadable, and what to do."""
    try:
        return Settings(**given)
    except ValidationError as error:
        missing = {str(problem["loc"][0]) for problem in error.errors() if problem["type"] == "missing"}
        refused = NothingSetError if missing == _REQUIRED else SettingsError
        # Without the cause, which quotes what was given.
        raise refused(_explained(error)) from None


def _explained(error: ValidationError) -> str:
    lines = ["the environment is not complete (see .env.example):"]
    for problem in error.errors():
        name = "_".join(map(str, problem["loc"])).upper()
        if problem["type"] == "missing":
            lines.append(f"  {name} is not set: {_REMEDIES.get(name, 'set it')}")
        else:
            said = problem["msg"].removeprefix("Value error, ")
            hint = f"; {_HINTS[name]}" if name in _HINTS else ""
            lines.append(f"  {name}: {said}{hint}" if name else f"  {said}")
    return "\n".join(lines)


class _Embedded(BaseSettings):
    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    temporal_address: str | None = None


def temporal_address_from_environment() -> str | None:
    """Of a Temporal server that the embedded stack is to use in place of one of its own."""
    return _Embedded().temporal_address


def adopt_environment(file: Path) -> None:
    """Make a stack's environment our own: the providers' libraries read theirs (proxy, region, keys) by themselves."""
    os.environ.update({name: value for name, value in dotenv_values(file).items() if value is not None})
