"""What a rehearsal has in place of others: Google, Amazon, a customer's database, and the people in all of them."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from db.engine import create_database_engine
from sandbox.dynamodb import DynamoDbServer, create_locks_table
from sandbox.fcm import FcmSimulator
from sandbox.people import World, seed_devices, seed_dynamodb, seed_mapping

_TABLE, _FIELD = "locks", "last_battery_check"


class StandIns:
    def __init__(self, folder: Path, running: ExitStack) -> None:
        (folder / "fcm").mkdir()
        self.fcm = running.enter_context(FcmSimulator(folder / "fcm"))
        self._dynamodb = running.enter_context(DynamoDbServer(folder / "dynamodb"))
        self._reader_password = secrets.token_hex(8)

    @property
    def settings(self) -> dict[str, str]:
        """What a deployment would write into .env to reach them."""
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._readable("GOOGLE_APPLICATION_CREDENTIALS")),
            "LOCKS_DATABASE_URL": f"postgresql://drumbeat_reader:{self._reader_password}@postgres:5432/customer",
            "AWS_ENDPOINT_URL_DYNAMODB": self._dynamodb.url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "LOCKS_TABLE": _TABLE,
            "LOCK_LAST_CHECK_FIELD": _FIELD,
            "QUIET_HOURS": "off",  # its people are invented, and do not sleep
        }

    @property
    def way_to_google(self) -> dict[str, str]:
        """For Google's own library: a proxy that leads to the simulator, and the authority that has signed it."""
        proxy = {name: self.fcm.environment[name] for name in ("HTTPS_PROXY", "NO_PROXY")}
        return {**proxy, "REQUESTS_CA_BUNDLE": str(self._readable("REQUESTS_CA_BUNDLE"))}

    def populate(self, world: World, superuser_url: str, drumbeats_url: str) -> None:
        """The customer's database gets the reader, the grants and the index of docs/operations.md."""
        with _engine_of(f"{superuser_url}/postgres") as server, server.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.execute(text("create database customer"))
            alone.execute(text(f"create role drumbeat_reader login password '{self._reader_password}'"))
        with _engine_of(f"{superuser_url}/customer") as customer:
            seed_mapping(world, customer)
            with customer.begin() as connection:
                connection.execute(text("grant usage on schema public to drumbeat_reader"))
                connection.execute(text("grant select on public.lock_user_mapping to drumbeat_reader"))
        with _engine_of(drumbeats_url) as ours:
            seed_devices(world, ours)
        with closing(self._dynamodb.client()) as tables:
            create_locks_table(tables, _TABLE)
            seed_dynamodb(world, tables, _TABLE, _FIELD)

    def _readable(self, setting: str) -> Path:
        """As docs/operations.md asks: the container's user must be able to read it."""
        file = Path(self.fcm.environment[setting])
        file.chmod(0o644)
        return file


def may_connect(url: str) -> bool:
    with _engine_of(url) as engine:
        try:
            engine.connect().close()
        except OperationalError:
            return False
    return True


@contextmanager
def _engine_of(url: str) -> Iterator[Engine]:
    engine = create_database_engine(url, pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()
