"""What a command works with: the settings, our database, and Temporal where it must."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from psycopg.errors import UndefinedColumn, UndefinedTable
from rich.console import Console
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, ProgrammingError
from temporalio.client import Client
from temporalio.service import RPCError

from activities.nudging import nudge, nudge_run, wake_sweep
from db.engine import transaction
from db.runs import RunView, find_run
from domain.problems import ProblemError
from settings import NothingSetError, Settings, adopt_environment, read_settings
from wiring import UnreachableError, await_database, build_engine, connect_temporal

EMBEDDED_ENVIRONMENTS = (Path(".drumbeat") / "environment", Path(".drumbeat") / "demo" / "environment")
"""There while `drumbeat up` or `drumbeat demo` runs; read where the environment itself says nothing."""

COURTESY_SECONDS = 3.0
"""How long a command whose work is done already waits for Temporal."""

T = TypeVar("T")


class NotMigratedError(ProblemError):
    def __init__(self) -> None:
        super().__init__("the database is not up to date with this version: run `drumbeat migrate` first")


class Desk:
    def __init__(self, console: Console, settings: Settings, engine: Engine) -> None:
        self.console = console
        self.settings = settings
        self.engine = engine

    @property
    def actor(self) -> str:
        try:
            return f"cli:{getpass.getuser()}"
        except (KeyError, OSError):  # a container's user often has no name
            return f"cli:{os.getuid()}"

    def find(self, reference: str) -> RunView:
        """Raises NoSuchRunError."""
        with transaction(self.engine) as session:
            return find_run(session, reference)

    def with_temporal(self, ask: Callable[[Client], Awaitable[T]]) -> T:
        async def connected() -> T:
            return await ask(await connect_temporal(self.settings))

        return asyncio.run(connected())

    def tell(self, run: RunView, *, sweep: bool = False) -> None:
        """The row is committed and holds; that Temporal hears of it now and not in a minute is a courtesy."""

        async def nudge_it(client: Client) -> None:
            await nudge_run(client, run.workflow_id)
            if sweep:
                await wake_sweep(client)

        self._as_a_courtesy(nudge_it)

    def call_up(self, message_ids: Collection[UUID]) -> None:
        """The same, for the workflows of these messages."""

        async def nudge_all(client: Client) -> None:
            for message_id in message_ids:
                await nudge(client, message_id, "look_again")

        if message_ids:
            self._as_a_courtesy(nudge_all)

    def _as_a_courtesy(self, tell: Callable[[Client], Awaitable[None]]) -> None:
        async def told_soon() -> None:
            await tell(await connect_temporal(self.settings, patience_seconds=COURTESY_SECONDS))

        try:
            asyncio.run(told_soon())
        except (UnreachableError, RPCError) as error:
            told = f"It holds; Temporal will notice when it is back: {error}"
            self.console.print(told, style="yellow", markup=False, highlight=False)


@contextmanager
def open_desk(console: Console) -> Iterator[Desk]:
    """Raises SettingsError, UnreachableError and NotMigratedError."""
    settings = find_settings()
    engine = build_engine(settings, "drumbeat-cli")
    try:
        await_database(engine, settings)
        yield Desk(console, settings, engine)
    except ProgrammingError as error:
        if isinstance(error.orig, UndefinedTable | UndefinedColumn):
            raise NotMigratedError from error
        raise
    except OperationalError as error:
        raise UnreachableError(f"PostgreSQL (DATABASE_URL) is lost: {str(error.orig).splitlines()[0]}") from error
    finally:
        engine.dispose()


def find_settings() -> Settings:
    """The environment's; where it says nothing at all, those of the embedded stack that runs in this folder."""
    try:
        return read_settings()
    except NothingSetError:
        embedded = next((file for file in EMBEDDED_ENVIRONMENTS if file.exists()), None)
        if embedded is None:
            raise
    # On standard error: what a command prints is for whoever reads or pipes it.
    Console(stderr=True).print(f"[dim]using the embedded stack of {embedded.parent}")
    adopt_environment(embedded)
    return read_settings()
