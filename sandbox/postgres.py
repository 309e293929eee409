"""The embedded PostgreSQL, from the binaries of a wheel: nothing to install, nothing shared with another server."""

import secrets
import shutil
import signal
from functools import cached_property
from pathlib import Path
from typing import Final, LiteralString

import psutil  # type: ignore[import-untyped]  # it ships no types
import psycopg
from psycopg import sql

from sandbox.embedded_server import EmbeddedServer, ServerNotStartedError
from sandbox.leash import Leash, leashed
from sandbox.ports import LOOPBACK
from sandbox.postgres_home import PostgresHome, find_home

SUPERUSER: Final = "postgres"
_INITDB_SECONDS = 120.0
_CONNECT_SECONDS = 5
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}  # macOS refuses to start without a locale
_INITDB = (
    f"--username={SUPERUSER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",  # with the next two: texts sort alike on every machine
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class PostgresServer(EmbeddedServer):
    """PostgreSQL with one superuser and a random password, so that other users of the machine stay outside.

    `durable=False` is for tests: faster, and a crash of the machine may lose everything.
    """

    name = "PostgreSQL"

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool = True,
        database: str = "drumbeat",
        preferred_port: int | None = None,
        max_connections: int = 200,
    ) -> None:
        super().__init__(folder, preferred_port=preferred_port)
        self._database = database
        self._settings = _SETTINGS | {"max_connections": str(max_connections)} | ({} if durable else _NOT_DURABLE)
        self._initdb = [*_INITDB, *([] if durable else ["--no-sync"])]
        self._password = ""

    @property
    def url(self) -> str:
        """Of the database that the constructor names, with the password."""
        return self.url_of(self._database)

    def url_of(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}:{self._password}@{LOOPBACK}:{self._port}/{database}"

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Return its address. Nobody may be connected to the template."""
        self._execute("create database {} template {}", name, template)
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Whoever is still connected is cut off."""
        self._execute("drop database if exists {} with (force)", name)

    @cached_property
    def _home(self) -> PostgresHome:
        return find_home(self._folder)

    def _prepare(self) -> None:
        self._password = _ensure_password(self._home)
        self._ensure_cluster()
        _forget_the_dead(self._home.cluster / "postmaster.pid")

    def _launch(self) -> Leash:
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        return self._child("postgres", "-D", str(self._home.cluster), f"--port={self._port}", *settings)

    def _answers(self) -> bool:
        try:
            with self._connect() as connection:
                there = connection.execute("select from pg_database where datname = %s", [self._database]).fetchone()
        except psycopg.OperationalError:
            return False
        if there is None:
            self.create_database(self._database)
        return True

    def _ensure_cluster(self) -> None:
        """Made aside and renamed: one that was interrupted is never taken for a whole one."""
        cluster = self._home.cluster
        if cluster.exists():
            return
        unfinished = cluster.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        initdb = self._child("initdb", f"--pgdata={unfinished}", f"--pwfile={self._home.password}", *self._initdb)
        try:
            if initdb.wait(_INITDB_SECONDS) != 0:
                raise ServerNotStartedError(f"initdb failed:\n{initdb.tail()}")
        finally:
            initdb.stop()
        unfinished.rename(cluster)

    def _child(self, program: str, *options: str) -> Leash:
        return leashed(
            [str(self._home.binaries / program), *options],
            log=self._folder / "postgres.log",
            env=_ENVIRONMENT,
            cwd=self._home.room,
            owner=self._home.owner,
            stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown; SIGTERM would wait for its clients
            keep_open=self._kept_open,
        )

    def _execute(self, statement: LiteralString, *names: str) -> None:
        with self._connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url_of(SUPERUSER), autocommit=True, connect_timeout=_CONNECT_SECONDS)


def _ensure_password(home: PostgresHome) -> str:
    """Random, in a file that only the server's user can read: initdb reads it as that user."""
    if not home.password.exists():
        fresh = home.password.with_suffix(".fresh")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(24))
        home.give(fresh)
        fresh.rename(home.password)
    return home.password.read_text()


def _forget_the_dead(pid_file: Path) -> None:
    """After a kill -9 the file names a process id that may by now be anybody's; PostgreSQL would refuse to start.

    Every process of an earlier server of ours held our lock, so none is left; one that a person started may be.
    """
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().split()[0])
    if not (psutil.pid_exists(pid) and psutil.Process(pid).name() == "postgres"):
        pid_file.unlink()
