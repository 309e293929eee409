"""`drumbeat proof` and `drumbeat report`: the ledger held against itself, and against the channels' own reports."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from sqlalchemy import Engine

from channels.interface import Channel, Reporting
from console.desk import Desk, open_desk
from console.files import FileError, is_standard_output, writable
from console.references import RunReference
from console.views import proof_panel
from db.engine import transaction
from db.proof import prove
from db.proof_rows import proof_rows
from db.reports import clear_report, import_report
from db.runs import RunView
from domain.problems import ProblemError
from domain.proof_csv import proof_lines
from domain.reports import Reported, read_report
from wiring import build_channels

app = typer.Typer()
console = Console()


class NoReportError(ProblemError):
    def __init__(self, channel: str, why: str) -> None:
        super().__init__(f"{channel} cannot be asked what it has taken: {why}; give a file")


@app.command()
def proof(
    reference: RunReference,
    *,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", callback=writable, help="Write it here too, a line for each message; - prints it alone."),
    ] = None,
) -> None:
    """The ledger of a run; ends with 1 where it does not balance."""
    with open_desk(console) as desk:
        found = desk.find(reference)
        with transaction(desk.engine) as session:
            proven = prove(session, found.id)
        if is_standard_output(csv_file):
            sys.stdout.writelines(proof_lines(proof_rows(desk.engine, found.id)))
        else:
            console.print(proof_panel(proven))
            if csv_file:
                _write(csv_file, desk.engine, found.id)
    raise typer.Exit(0 if proven.balanced else 1)


@app.command()
def report(
    reference: RunReference,
    channel: Annotated[str, typer.Argument(help="Whose report it is: a channel of the run's ladder.")],
    file: Annotated[Path | None, typer.Argument(help="CSV with message_id, provider_id or both.")] = None,
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Forget the report of this channel.")] = False,
) -> None:
    """Import what a channel says that it has taken of a run; the proof is held against it."""
    with open_desk(console) as desk:
        found = desk.find(reference)
        if clear:
            with transaction(desk.engine) as session:
                cleared = clear_report(session, found.id, channel, desk.actor)
            console.print("Forgotten." if cleared else "There was none.")
            return
        with _reported(desk, found, channel, file) as reported, transaction(desk.engine) as session:
            messages = import_report(session, found.id, channel, reported, desk.actor)
    console.print(f"{messages} messages, by the report of {channel}.", markup=False, highlight=False)
    console.print(f"[dim]drumbeat proof {str(found.id)[:8]}")


@contextmanager
def _reported(desk: Desk, run: RunView, channel: str, file: Path | None) -> Iterator[Iterable[Reported]]:
    if file is None:
        yield own_report(build_channels(desk.settings), channel, run.started_at or run.created_at)
        return
    try:
        lines = file.open("rb")
    except OSError as error:
        raise FileError(error) from error
    with lines:
        yield read_report(lines)


def own_report(channels: dict[str, Channel], name: str, since: datetime) -> Iterable[Reported]:
    """What the provider itself says. Raises NoReportError: no provider of today's channels can be asked."""
    channel = channels.get(name)
    if channel is None:
        raise NoReportError(name, "it is off, or there is no such channel")
    if not isinstance(channel, Reporting):
        raise NoReportError(name, "its provider offers no such report")
    return channel.reported(since, datetime.now(UTC))


def _write(file: Path, engine: Engine, run_id: UUID) -> None:
    try:
        with file.open("w", encoding="utf-8", newline="") as opened:
            opened.writelines(proof_lines(proof_rows(engine, run_id)))
    except OSError as error:
        raise FileError(error) from error
