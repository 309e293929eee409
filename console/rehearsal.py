"""`drumbeat rehearse`: a whole run in virtual time, before anybody is sent anything."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from activities.rehearsing import Rehearser
from console.desk import open_desk
from console.files import is_standard_output, writable
from console.forecast import forecast_view
from console.parameters import read_parameters, read_time
from wiring import build_channels, build_hasher, build_house_rules, build_registry, build_sources

app = typer.Typer()
console = Console()


@app.command()
def rehearse(
    campaign: Annotated[str, typer.Argument(help="`drumbeat campaigns` lists them.")],
    *,
    at: Annotated[str | None, typer.Option(help="When it would start, such as 2026-03-02T09:00:00+01:00.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="name=value, as often as needed.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", callback=writable, help="Into this file; - prints it alone.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn by lot: another one, another course.")] = 0,
) -> None:
    """What a run would come to: sends by the hour, who waits or gets nothing and why, how long, the cost."""
    starts_at = read_time(at) if at is not None else None
    parameters = read_parameters(param or [])
    with open_desk(console) as desk:
        registry = build_registry(desk.settings)
        wanted = registry.parameters(campaign, parameters)
        rehearser = Rehearser(
            desk.engine,
            build_channels(desk.settings),
            build_sources(desk.settings, desk.engine),
            build_hasher(desk.settings),
            build_house_rules(desk.settings),
        )
        forecast = rehearser.rehearse(registry[campaign], wanted, at=starts_at, seed=seed)
    if is_standard_output(json_file):
        typer.echo(forecast.model_dump_json(indent=2))
        return
    if json_file is not None:
        json_file.write_text(forecast.model_dump_json(indent=2) + "\n", encoding="utf-8")
    console.print(forecast_view(forecast))
