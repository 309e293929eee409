"""What a command works with: the settings, our database, and Temporal where it must."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from sqlalchemy import Engine
from temporalio.client import Client

from activities.nudging import nudge_run, wake_sweep
from db.engine import transaction
from db.runs import RunView, find_run
from settings import Settings, SettingsError, adopt_environment, read_settings
from wiring import UnreachableError, await_database, build_engine, connect_temporal

EMBEDDED_ENVIRONMENTS = (Path(".drumbeat") / "environment", Path(".drumbeat") / "demo" / "environment")
"""There while `drumbeat up` or `drumbeat demo` runs; read where the environment itself says nothing."""

T = TypeVar("T")


class Desk:
    def __init__(self, console: Console, settings: Settings, engine: Engine) -> None:
        self.console = console
        self.settings = settings
        self.engine = engine

    @property
    def actor(self) -> str:
        return f"cli:{getpass.getuser()}"

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

        async def nudge() -> None:
            client = await connect_temporal(self.settings, patience_seconds=3)
            await nudge_run(client, run.workflow_id)
            if sweep:
                await wake_sweep(client)

        try:
            asyncio.run(nudge())
        except UnreachableError as error:
            self.console.print(f"[yellow]It holds; Temporal will notice when it is back: {error}")


@contextmanager
def open_desk(console: Console) -> Iterator[Desk]:
    """Raises SettingsError and UnreachableError."""
    settings = _settings()
    engine = build_engine(settings, "drumbeat-cli")
    try:
        await_database(engine, settings)
        yield Desk(console, settings, engine)
    finally:
        engine.dispose()


def _settings() -> Settings:
    try:
        return read_settings()
    except SettingsError:
        embedded = next((file for file in EMBEDDED_ENVIRONMENTS if file.exists()), None)
        if embedded is None:
            raise
    # On standard error: what a command prints is for whoever reads or pipes it.
    Console(stderr=True).print(f"[dim]using the embedded stack of {embedded.parent}")
    adopt_environment(embedded)
    return read_settings()
