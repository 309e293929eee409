"""`drumbeat figures`: what the runs of a campaign came to."""

from collections.abc import Iterable
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console, RenderableType
from rich.text import Text

from api.figure_words import FIGURES
from console.desk import open_desk
from console.views import plain, state_text, table_of
from db.engine import transaction
from db.figures import RunFigures, campaign_figures
from wiring import build_registry

app = typer.Typer()
console = Console()


@app.command()
def figures(
    campaign: Annotated[str | None, typer.Argument(help="All campaigns where left out.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many runs of each, the newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="A list of runs, as the API gives them.")] = False,
) -> None:
    """What the newest runs came to: sent, clicked, and whether it helped."""
    with open_desk(console) as desk:
        registry = build_registry(desk.settings)
        names = [registry[campaign].name] if campaign is not None else sorted(registry.campaigns)
        with transaction(desk.engine) as session:
            runs = [run for name in names for run in campaign_figures(session, name, limit)]
    if as_json:
        typer.echo(TypeAdapter(list[RunFigures]).dump_json(runs, indent=2))
    else:
        console.print(figures_table(runs))


def figures_table(runs: Iterable[RunFigures]) -> RenderableType:
    table = table_of("campaign", "slot", "state", *((name, "right") for name in FIGURES))
    for run in runs:
        shown = [plain(str(words(run))) for words in FIGURES.values()]
        table.add_row(plain(run.campaign), plain(run.slot), state_text(run.state), *shown)
    return table if table.row_count else Text("No run yet: `drumbeat run CAMPAIGN` starts one.")
