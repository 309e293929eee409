"""`make bench`: a run of ours beside the bare engine, round after round, on servers of its own."""

import json
import platform
import shlex
import sys
from pathlib import Path
from typing import Annotated

import psutil  # type: ignore[import-untyped]  # it ships no types
import typer
from rich.console import Console

from benchmarks.figures import Pair, Results, Round
from benchmarks.rounds import Machine, a_machine
from benchmarks.sheets import sheets_of, verdict, warning
from benchmarks.views import PAGE, table_of, write_into
from sandbox.temporal_binary import find_or_install

GROWTH = (500, 1000, 2000, 5000)
COUNTED = 300
"""Recipients of the round whose statements are counted."""

console = Console()


def bench(
    *,
    recipients: Annotated[int, typer.Option(min=1, help="Of each run.")] = 600,
    rounds: Annotated[int, typer.Option(min=1, help="Of each of the two; medians are printed.")] = 3,
    growth: Annotated[
        bool, typer.Option("--growth", help=f"Also one run of each of {GROWTH}: 10 to 15 minutes more.")
    ] = False,
    statements: Annotated[bool, typer.Option(help="One more run, whose SQL statements are counted.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the tables into docs/benchmarks.md.")] = False,
) -> None:
    """Ours beside the bare engine: the same shape of workflows with a no-op activity and no database."""
    with a_machine(find_or_install(console.print)) as machine:
        results = Results(
            machine=describe_machine(),
            pairs=[play_pair(machine, recipients) for _ in range(rounds)],
            growth=[play_pair(machine, size) for size in (GROWTH if growth else ())],
            counted=machine.our_round(min(recipients, COUNTED), count_statements=True) if statements else None,
        )
    for sheet in sheets_of(results):
        console.print(table_of(sheet))
    console.print(f"[bold]{verdict(results)}")
    if told := warning(results):
        console.print(f"[yellow]{told}")
    if json_file:
        json_file.write_text(json.dumps(results.model_dump() | {"ratio": results.ratio}, indent=2) + "\n")
    if write:
        arguments = shlex.join(argument for argument in sys.argv[1:] if argument != "--write")
        write_into(PAGE, results, f'make bench ARGS="{arguments}"' if arguments else "make bench")


def play_pair(machine: Machine, recipients: int) -> Pair:
    bare = machine.bare_round(recipients)
    _say(bare)
    ours = machine.our_round(recipients)
    _say(ours)
    return Pair(bare=bare, ours=ours)


def describe_machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{psutil.cpu_count()} processors, {memory:.0f} GiB, {system}"


def _say(played: Round) -> None:
    noise = f", [yellow]others used {played.others:.2f} processors[/]" if played.noisy else ""
    console.print(
        f"{played.engine}: {played.recipients} recipients in {played.seconds:.1f} s, {played.rate:.1f} a second"
        f" [dim](load {played.load_before:.1f} before, {played.load_after:.1f} after{noise})"
    )


if __name__ == "__main__":
    typer.run(bench)
