"""`drumbeat retry-failed`: a new run over exactly those whose message failed."""

from typing import Annotated

import typer
from rich.console import Console

from activities.queues import CORE
from activities.retrying import check_same_retry, retry_order
from activities.starting import start_and_write_down
from console.desk import open_desk
from console.references import RunReference
from db.engine import transaction
from wiring import build_registry

app = typer.Typer()
console = Console()


@app.command("retry-failed")
def retry_failed(
    reference: RunReference,
    *,
    key: Annotated[str | None, typer.Option(help="Idempotency key: another key is another run.")] = None,
) -> None:
    """Start a run over exactly the failed messages of one that is closed; asked for twice, it is one run."""
    with open_desk(console) as desk:
        registry, found = build_registry(desk.settings), desk.find(reference)
        with transaction(desk.engine) as session:
            order = retry_order(session, registry, found, key, desk.actor)
        started = desk.with_temporal(lambda it: start_and_write_down(it, desk.engine, registry, order, CORE))
        with transaction(desk.engine) as session:
            check_same_retry(session, started, order)
        console.print(f"{'Started before' if started.already else 'Started'}: run [bold]{started.run_id}")
        console.print(f"[dim]drumbeat show {str(started.run_id)[:8]}")
