"""`drumbeat approve`: a large run is let go by somebody else than who started it."""

import typer
from rich.console import Console

from console.desk import open_desk
from console.references import RunReference
from db import launching

app = typer.Typer()
console = Console()


@app.command()
def approve(reference: RunReference) -> None:
    """Let a run go that has more messages than APPROVAL_ABOVE, and that somebody else has started."""
    with open_desk(console) as desk:
        found = desk.find(reference)
        approved = launching.approve(desk.engine, found.id, desk.actor)
        desk.tell(found)
        then = f"Not sending yet; {approved.waits_for}." if approved.waits_for else "It sends now."
        console.print(f"Approved for {approved.targeted} messages. {then}", markup=False, highlight=False)
