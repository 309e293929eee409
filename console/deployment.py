"""The commands of a deployment: tables, workers, the API and its keys."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console

from console.desk import open_desk
from console.health import ANSWER_SECONDS, check_version, check_worker
from console.logs import log_to_standard_error
from db.api_keys import Scope, create_key
from db.engine import transaction
from db.migrate import migrate as apply_migrations
from settings import Settings, read_settings
from wiring import await_database, build_engine, connect_temporal

app = typer.Typer()
keys = typer.Typer(no_args_is_help=True, help="API keys.")
app.add_typer(keys, name="key")

console = Console()
errors = Console(stderr=True)


@app.command()
def migrate() -> None:
    """Bring our tables up to date (schema `drumbeat`)."""
    with open_desk(console) as desk:
        apply_migrations(desk.settings.database_url)
        console.print("The schema drumbeat is up to date.")


@app.command()
def worker() -> None:
    """A worker, until it is told to stop."""
    from worker import run_worker  # noqa: PLC0415 - only this command needs Temporal's workers

    log_to_standard_error(logging.INFO)
    run_worker(read_settings())


@app.command()
def api() -> None:
    """The HTTP API, until it is told to stop."""
    from api.entry import serve  # noqa: PLC0415 - only this command needs FastAPI

    log_to_standard_error(logging.INFO)
    serve(read_settings())


@app.command()
def health() -> None:
    """Whether the worker of this host works: database, its version, and Temporal are asked; 0 where all is well."""
    settings = read_settings().model_copy(update={"wait_for_servers_seconds": ANSWER_SECONDS})
    engine = build_engine(settings, "drumbeat-health")
    try:
        await_database(engine, settings)
        check_version(engine)
    finally:
        engine.dispose()
    console.print(f"Works: {asyncio.run(_working(settings))}")


async def _working(settings: Settings) -> str:
    return await check_worker(await connect_temporal(settings))


@keys.command("create")
def key_create(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; as often as needed.")],
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="It ends after so many days.")] = None,
) -> None:
    """Make an API key. It is shown once."""
    with open_desk(console) as desk:
        expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
        with transaction(desk.engine) as session:
            key = create_key(session, name, scope, expires_at)
        console.print(key, soft_wrap=True)
        errors.print("[dim]Keep it: only its hash is stored.")
