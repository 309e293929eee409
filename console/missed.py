"""`drumbeat missed`: planned times that passed without a run."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from sqlalchemy.orm import Session

from console.desk import open_desk
from console.views import plain
from db.engine import transaction
from db.missed import MissedRunView, count_missed, list_missed

NEW_FOR = timedelta(days=7)

app = typer.Typer()
console = Console()


@app.command()
def missed(
    campaign: Annotated[str | None, typer.Argument(help="All campaigns where left out.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, the latest first.")] = 20,
) -> None:
    """Planned runs that did not start, and why they were not started late."""
    with open_desk(console) as desk, transaction(desk.engine) as session:
        console.print(missed_view(list_missed(session, campaign, limit)))


def missed_view(found: Sequence[MissedRunView]) -> RenderableType:
    if not found:
        return Text("No planned run was missed.")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("campaign", "planned at (UTC)", "why it was not run late"):
        table.add_column(name)
    for each in found:
        table.add_row(plain(each.campaign), f"{each.planned_at:%Y-%m-%d %H:%M}", plain(each.reason))
    return table


def missed_line(session: Session) -> Text | None:
    """Below the list of runs, where something belongs into it that is not there."""
    count = count_missed(session, NEW_FOR)
    if not count:
        return None
    runs = "1 planned run was" if count == 1 else f"{count} planned runs were"
    return Text(f"{runs} missed in the last {NEW_FOR.days} days: `drumbeat missed`", "yellow")
