"""`drumbeat audit`: who did what."""

from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console

from console.desk import open_desk
from console.people_views import audit_table
from db.audit import AuditView, list_audit
from db.engine import transaction

app = typer.Typer()
console = Console()


@app.command()
def audit(
    *,
    run: Annotated[str | None, typer.Option(help="Of this run alone.")] = None,
    actor: Annotated[str | None, typer.Option(help="By this one alone: a key's id, or cli:NAME.")] = None,
    action: Annotated[str | None, typer.Option(help="Of this kind alone: pause, lift, …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="With all details, as the API gives them.")] = False,
) -> None:
    """Who did what, the newest first. The log is append-only: the database refuses to change it."""
    with open_desk(console) as desk:
        run_id = desk.find(run).id if run is not None else None
        with transaction(desk.engine) as session:
            entries = list_audit(session, limit, run_id=run_id, actor=actor, action=action)
    if as_json:
        typer.echo(TypeAdapter(list[AuditView]).dump_json(entries, indent=2))
    else:
        console.print(audit_table(entries))
