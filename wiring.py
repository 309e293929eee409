"""Builds engines, channels, sources and clients from the settings. Without its credentials a channel is off."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from activities.links import SignedLinks
from campaigns.campaign import Schedule
from campaigns.registry import Registry, find_campaigns
from channels.fcm import FcmChannel
from channels.interface import Channel, NotPermittedError
from channels.mqtt import MqttChannel
from db.engine import create_database_engine
from domain.hand_over import CHANNEL_TIMEOUT, PREPARE_TIMEOUT
from domain.hashing import AddressHasher
from domain.house_rules import HouseRules
from domain.missed import MissedRuns
from domain.plan import Halt, Launch
from domain.tokens import Signer
from settings import Settings, SettingsError
from sources.capacity import ReadCapacity
from sources.dynamodb import dynamodb_client
from sources.locks import Locks

log = structlog.get_logger()

ANSWER_SECONDS = 5.0
"""How long one try to reach Temporal may last."""
_NEVER = "off"


class UnreachableError(Exception):
    """A server that did not answer in time; the text names it, its setting and the remedy."""


def build_engine(settings: Settings, application: str) -> Engine:
    return create_database_engine(settings.database_url, application=application)


def build_registry(settings: Settings) -> Registry:
    """The campaigns as their files say, but for what the operator's settings say otherwise."""
    lock_battery = {
        "stale_after_days": settings.stale_after_days,
        "ttl_seconds": settings.lock_battery_ttl_seconds,
        "effectiveness_window_days": settings.effectiveness_window_days,
        "holdout_percent": settings.holdout_percent,
    }
    defaults = {"lock_battery": {name: value for name, value in lock_battery.items() if value is not None}}
    reschedule = partial(
        _reschedule,
        settings.lock_battery_schedule,
        settings.lock_battery_time_zone,
        settings.lock_battery_missed_runs,
    )
    return find_campaigns(defaults, {"lock_battery": reschedule})


def _reschedule(
    cron: str | None, zone: str | None, missed: MissedRuns | None, planned: Schedule | None
) -> Schedule | None:
    if cron == _NEVER or (planned is None and cron is None):
        return None
    planned = planned or Schedule(cron or "")
    return replace(planned, cron=cron or planned.cron, zone=zone or planned.zone, missed=missed or planned.missed)


def build_signer(settings: Settings) -> Signer:
    """Raises SettingsError where two secrets cannot be told apart."""
    secrets = [settings.signing_secret, settings.signing_secret_previous]
    with _blaming("SIGNING_SECRET_PREVIOUS"):
        return Signer.of_secrets(*(secret.get_secret_value().encode() for secret in secrets if secret))


def build_links(settings: Settings) -> SignedLinks:
    return SignedLinks(build_signer(settings), settings.campaign_click_url)


def build_hasher(settings: Settings) -> AddressHasher:
    return AddressHasher(settings.address_hash_key.get_secret_value().encode())


def build_house_rules(settings: Settings) -> HouseRules:
    return HouseRules(
        zone=settings.time_zone,
        quiet_hours=settings.quiet_hours,
        launch=Launch(
            canary_percent=settings.canary_percent,
            canary_watch_seconds=settings.canary_watch_seconds,
            undo_seconds=settings.undo_seconds,
            approval_above=settings.approval_above,
        ),
        halt=Halt(
            failure_percent=settings.halt_failure_percent,
            acknowledged_percent=settings.halt_acknowledged_percent,
            complaint_percent=settings.halt_complaint_percent,
            after=settings.halt_after,
        ),
    )


def build_channels(settings: Settings) -> dict[str, Channel]:
    """The channels that are on. Raises SettingsError where credentials are given and unusable."""
    channels: dict[str, Channel] = {}
    if settings.google_application_credentials:
        with _blaming("GOOGLE_APPLICATION_CREDENTIALS"):
            channels["fcm"] = FcmChannel(
                settings.google_application_credentials,
                timeout_seconds=CHANNEL_TIMEOUT.total_seconds(),
                pool_size=settings.worker_slots,
            )
    if settings.mqtt_url:
        with _blaming("MQTT_URL or MQTT_CA_FILE"):
            channels["mqtt"] = MqttChannel(
                settings.mqtt_url,
                settings.mqtt_ca_file,
                timeout_seconds=CHANNEL_TIMEOUT.total_seconds(),
                connect_seconds=PREPARE_TIMEOUT.total_seconds(),
            )
    for name, setting in (("fcm", "GOOGLE_APPLICATION_CREDENTIALS"), ("mqtt", "MQTT_URL")):
        if name not in channels:
            log.warning("channel_off", channel=name, remedy=f"set {setting}")
    return channels


def build_sources(settings: Settings, engine: Engine) -> dict[str, Any]:
    """Read-only views of the customer's data, by name; `engine` is our own database's, where that has some of it."""
    segments = settings.locks_scan_segments
    connect = partial(dynamodb_client, settings.aws_region, settings.aws_endpoint_url_dynamodb, segments)
    elsewhere = settings.locks_database_url
    mapping = create_database_engine(elsewhere, pool_size=segments) if elsewhere else engine
    capacity = ReadCapacity(settings.locks_read_capacity)
    table, field = settings.locks_table, settings.lock_last_check_field
    return {"locks": Locks(connect, table, field, mapping, segments, capacity=capacity)}


async def connect_temporal(settings: Settings, *, patience_seconds: float | None = None) -> Client:
    """Waits for the server, saying so; raises UnreachableError in the end."""
    api_key = settings.temporal_api_key
    connect = partial(
        Client.connect,
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        api_key=api_key.get_secret_value() if api_key else None,
        tls=settings.temporal_tls or api_key is not None,
        data_converter=pydantic_data_converter,
    )
    seconds = settings.wait_for_servers_seconds if patience_seconds is None else patience_seconds
    patience = _Patience(f"Temporal at {settings.temporal_address} (TEMPORAL_ADDRESS)", seconds)
    while True:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await connect()
        except (RuntimeError, RPCError, TimeoutError) as error:
            await asyncio.sleep(patience.pause(error))


def await_database(engine: Engine, settings: Settings) -> None:
    """Waits for PostgreSQL, saying so. Raises UnreachableError in the end, SettingsError for an unfit database."""
    address = engine.url.render_as_string(hide_password=True)
    patience = _Patience(f"PostgreSQL at {address} (DATABASE_URL)", settings.wait_for_servers_seconds)
    while True:
        try:
            with engine.connect() as connection:
                connection.execute(text("select 1"))
        except OperationalError as error:
            time.sleep(patience.pause(error))
        except TypeError as error:  # SQLAlchemy's, over the bytes that a database in SQL_ASCII has for text
            raise SettingsError(
                f"the database at {address} (DATABASE_URL) is not encoded in UTF8: make one that is, "
                "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            ) from error
        else:
            return


@contextmanager
def _blaming(setting: str) -> Iterator[None]:
    try:
        yield
    except (NotPermittedError, OSError, ValueError) as error:
        raise SettingsError(f"{setting} cannot be used: {error}") from error


class _Patience:
    """How long one server is waited for."""

    def __init__(self, what: str, seconds: float) -> None:
        self._what = what
        self._seconds = seconds
        self._give_up = time.monotonic() + seconds

    def pause(self, refused: Exception) -> float:
        """Seconds until it is asked again; raises UnreachableError where it was waited for long enough."""
        reason = next(iter(str(refused).strip().splitlines()), "no answer at all")
        left = self._give_up - time.monotonic()
        if left <= 0:
            raise UnreachableError(
                f"{self._what} did not answer within {self._seconds:g} s: {reason}. Start it, or correct the setting."
            ) from refused
        log.warning("waiting", for_=self._what, seconds_left=round(left), because=reason)
        return min(1.0, left)
