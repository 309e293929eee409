"""The embedded stack: PostgreSQL, Temporal, simulated providers, a worker and the API, all on loopback."""

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from db.engine import create_database_engine
from db.migrate import migrate
from domain.hand_over import SHUTDOWN_GRACE
from domain.problems import ProblemError
from sandbox.dynamodb import DynamoDbServer, create_locks_table
from sandbox.embedded_server import ServerNotStartedError
from sandbox.fcm import FcmSimulator
from sandbox.folder_lock import FolderInUseError
from sandbox.leash import CommandNotStartedError, Leash, leashed
from sandbox.mqtt_broker import MqttBroker
from sandbox.people import World, seed_devices, seed_dynamodb, seed_mapping
from sandbox.polling import wait_until
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres import PostgresServer
from sandbox.temporal_binary import TemporalNotFoundError, find_or_install
from sandbox.temporal_server import TemporalServer
from settings import temporal_address_from_environment

Say = Callable[[str], None]

ENVIRONMENT = "environment"
"""The file, in the stack's folder, from which the other commands know where everything is."""
LOCKS_TABLE = "locks"
LAST_CHECK_FIELD = "last_battery_check"
_API_PORT = 8000
_READY_SECONDS = 90.0


class StackNotStartedError(ProblemError):
    """The text says why."""


_REFUSALS = (CommandNotStartedError, FolderInUseError, ServerNotStartedError, TemporalNotFoundError, TimeoutError)


class Stack:
    """Everything that a deployment has, in one folder; it ends with this process, and takes up where it was."""

    def __init__(
        self, folder: Path, say: Say, *, durable: bool = True, settings: Mapping[str, str] | None = None
    ) -> None:
        """`settings` are added to the environment of the worker and the API."""
        self.folder = folder.absolute()
        self._say = say
        self._settings = dict(settings or {})
        self._running = ExitStack()
        self.postgres = PostgresServer(self.folder / "postgres", durable=durable)
        self.fcm: FcmSimulator
        self.broker = MqttBroker()
        self.dynamodb = DynamoDbServer(self.folder / "dynamodb")
        self.temporal_address = ""
        self.temporal_ui: str | None = None
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Raises StackNotStartedError; nothing runs then."""
        try:
            self._start_all()
        except _REFUSALS as error:
            raise StackNotStartedError(str(error)) from error
        return self

    def _start_all(self) -> None:
        with ExitStack() as starting:
            self._start_servers(starting)
            self.environment = self._environment()
            migrate(self.postgres.url)
            with closing(self.dynamodb.client()) as tables:
                create_locks_table(tables, LOCKS_TABLE)
            self._say("worker and API …")
            self.worker = self.start_worker()
            starting.callback(lambda: self.worker.stop(SHUTDOWN_GRACE.total_seconds() + 5))
            self.api = self._start("api")
            starting.callback(self.api.stop)
            self._await_ready()
            starting.callback(self._write_environment().unlink)
            self._running = starting.pop_all()

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def api_url(self) -> str:
        return self.environment["CAMPAIGN_CLICK_URL"]

    def start_worker(self) -> Leash:
        """One more, or a new one after the first was killed."""
        return self._start("worker")

    def populate(self, world: World) -> None:
        """Invented locks, owners and devices, where the campaign looks for them."""
        engine = create_database_engine(self.postgres.url)
        with closing(self.dynamodb.client()) as tables:
            seed_dynamodb(world, tables, LOCKS_TABLE, LAST_CHECK_FIELD)
        seed_mapping(world, engine)
        seed_devices(world, engine)
        engine.dispose()

    def _start_servers(self, starting: ExitStack) -> None:
        program = None
        self.temporal_address = temporal_address_from_environment() or ""
        if not self.temporal_address:
            program = find_or_install(self._say)
        self._say("PostgreSQL …")
        starting.enter_context(self.postgres)
        # After PostgreSQL, which has the folder's lock: these certificates would replace those of a stack that runs.
        self.fcm = FcmSimulator(self._made("fcm"), slow_seconds=1.0, retry_after="2")
        if program:
            self._say("Temporal …")
            temporal = starting.enter_context(TemporalServer(self.folder / "temporal", program))
            self.temporal_address, self.temporal_ui = temporal.address, temporal.ui_url
        self._say("simulated FCM, MQTT broker and DynamoDB …")
        starting.enter_context(self.fcm)
        starting.enter_context(self.broker)
        starting.enter_context(self.dynamodb)

    def _environment(self) -> dict[str, str]:
        port = free_port(_API_PORT)
        return {
            "DATABASE_URL": self.postgres.url,
            "TEMPORAL_ADDRESS": self.temporal_address,
            **self._secrets(),
            "API_HOST": LOOPBACK,
            "API_PORT": str(port),
            "API_KEYS_REQUIRED": "false",
            "QUIET_HOURS": "off",  # its people are invented, and do not sleep
            "CAMPAIGN_CLICK_URL": f"http://{LOOPBACK}:{port}",
            **self.fcm.environment,
            "MQTT_URL": self.broker.url,
            **self.dynamodb.environment,
            "LOCKS_TABLE": LOCKS_TABLE,
            "LOCK_LAST_CHECK_FIELD": LAST_CHECK_FIELD,
            **self._settings,
        }

    def _secrets(self) -> dict[str, str]:
        """Random, made once, readable by us alone: links and the suppression list outlive a restart."""
        file = self._made() / "secrets.json"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(
                json.dumps({name: secrets.token_hex(32) for name in ("SIGNING_SECRET", "ADDRESS_HASH_KEY")})
            )
        made: dict[str, str] = json.loads(file.read_text())
        return made

    def _start(self, command: str) -> Leash:
        return leashed(
            [sys.executable, "-m", "cli", command],
            log=self.folder / f"{command}.log",
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "PYTHONUNBUFFERED": "1", **self.environment},
            cwd=self.folder,  # where no .env of somebody's is
            orphan_grace_seconds=SHUTDOWN_GRACE.total_seconds() + 5,
        )

    def _await_ready(self) -> None:
        def ready() -> bool:
            for child in (self.worker, self.api):
                if child.poll() is not None:
                    raise StackNotStartedError(f"a part of the stack ended at once:\n{child.tail()}")
            return "worker_ready" in self.worker.tail(50) and _answers(f"{self.api_url}/readyz")

        wait_until(ready, _READY_SECONDS, "the worker and the API are ready")

    def _write_environment(self) -> Path:
        file = self.folder / ENVIRONMENT
        file.touch(mode=0o600)
        # What is left of a stack that was killed must not make the next command wait for a minute.
        settings = {**self.environment, "WAIT_FOR_SERVERS_SECONDS": "5"}
        file.write_text("".join(f'{name}="{value}"\n' for name, value in settings.items()))
        return file

    def _made(self, name: str = "") -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - our own API on loopback
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except (URLError, OSError):
        return False
