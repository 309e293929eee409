"""`drumbeat figures`: what the runs of a campaign came to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from api.figure_words import FIGURES
from console.desk import open_desk
from console.views import plain, state_text
from db.engine import transaction
from db.figures import RunFigures, campaign_figures
from wiring import build_registry

_ENDLESS = 10_000

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
        console.print(figures_view(runs))


def figures_view(runs: Sequence[RunFigures]) -> RenderableType:
    """Each campaign by itself."""
    if not runs:
        return Text("No run yet: `drumbeat run CAMPAIGN` starts one.")
    return Group(*(_OfCampaign(name, list(its)) for name, its in groupby(runs, attrgetter("campaign"))))


@dataclass(frozen=True, slots=True)
class _OfCampaign:
    """A table where the terminal is wide enough for whole numbers, else a few lines for each run."""

    campaign: str
    runs: Sequence[RunFigures]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text()
        yield plain(self.campaign, "bold")
        table = _table(self.runs)
        needed = Measurement.get(console, options.update(max_width=_ENDLESS), table).minimum
        yield table if needed <= options.max_width else Group(*map(_lines, self.runs))


def _table(runs: Iterable[RunFigures]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("slot", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in FIGURES:
        table.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True, vertical="top")
    for run in runs:
        shown = [
            plain("\n".join(filter(None, (it.said, it.note)))) for it in (words(run) for words in FIGURES.values())
        ]
        table.add_row(plain(run.slot), state_text(run.state), *shown)
    return table


def _lines(run: RunFigures) -> RenderableType:
    shown = ", ".join(f"{name} {words(run)}" for name, words in FIGURES.items())
    return Group(
        Text.assemble(plain(run.slot), "  ", state_text(run.state)), Padding(plain(shown, "dim"), (0, 0, 1, 2))
    )
