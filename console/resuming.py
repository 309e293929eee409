"""`drumbeat resume`: go on after a pause, and see beforehand what that would do."""

from datetime import timedelta
from typing import Annotated

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.desk import open_desk
from console.references import RunReference
from db import control
from db.control import Resumed
from db.engine import transaction
from db.resuming import ResumePreview, preview_resume
from domain.clock import ClockPolicy

app = typer.Typer()
console = Console()

_MEANINGS = {
    ClockPolicy.SHIFT: "move by the pause",
    ClockPolicy.KEEP: "stand",
    ClockPolicy.EXPIRE_OVERDUE: "stand",
}


@app.command()
def resume(
    reference: RunReference,
    *,
    clock: Annotated[
        ClockPolicy, typer.Option(help="What becomes of the deadlines of what was sent before the pause.")
    ] = ClockPolicy.SHIFT,
    preview: Annotated[
        bool, typer.Option("--preview", help="Change nothing; say what each clock would do now.")
    ] = False,
) -> None:
    """Go on after a pause; by default every deadline moves by the time paused."""
    with open_desk(console) as desk:
        found = desk.find(reference)
        if preview:
            with transaction(desk.engine) as session:
                console.print(preview_view(preview_resume(session, found.id)))
            return
        resumed = control.resume(desk.engine, found.id, desk.actor, clock)
        desk.tell(found, sweep=True)
        if resumed.waits_for:
            console.print(f"Not sending yet; {resumed.waits_for}.", markup=False, highlight=False)
            return
        console.print(f"Resumed; {resumed.held} were held, {_deadlines(resumed)}", highlight=False)


def preview_view(preview: ResumePreview) -> RenderableType:
    paused = timedelta(seconds=round((preview.at - preview.paused_at).total_seconds()))
    head = Text(f"Paused for {paused}. Nothing was changed. A resume now, by --clock:")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("--clock")
    for title in ("go on waiting", "next rung", "end"):
        table.add_column(title, justify="right")
    table.add_column("deadlines")
    for each in preview.policies:
        counts = (str(each.awaiting), str(each.next_rung), str(each.ended))
        table.add_row(each.policy, *counts, Text(_MEANINGS[each.policy], "dim"))
    foot = f"Under each, {preview.unsent} that are not sent yet go on; {preview.in_flight} are in flight now."
    return Group(head, table, Text(foot))


def _deadlines(resumed: Resumed) -> str:
    match resumed.policy:
        case ClockPolicy.SHIFT:
            return f"deadlines have moved by {resumed.paused_seconds:.1f} s in all."
        case ClockPolicy.KEEP:
            return f"deadlines stand; {resumed.overdue} are overdue and go to their next rung, where there is one."
        case ClockPolicy.EXPIRE_OVERDUE:
            return f"deadlines stand; {resumed.ended} were overdue and have ended."
