"""`drumbeat suppress`: who gets nothing, on any campaign."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console

from console.desk import Desk, open_desk
from console.people_views import imported_view, suppressions_table
from db.engine import transaction
from db.suppression_import import import_list
from db.suppressions import export_suppressions, lift, list_suppressions, suppress
from domain.addresses import checked, checked_channel
from domain.persons import PERSON
from domain.suppression import Reason
from domain.suppression_list import LONGEST_LINE, export_lines
from wiring import build_hasher

app = typer.Typer(no_args_is_help=True)
console = Console()
errors = Console(stderr=True)

ChannelName = Annotated[str, typer.Argument(help="fcm, apns, mqtt, email, sms; or `person`: on all of them.")]
Address = Annotated[str, typer.Argument(help="The address; for `person` the key that the campaigns' sources give.")]


@app.callback()
def suppressions() -> None:
    """The suppression list: who gets nothing, on any campaign."""


@app.command()
def add(
    channel: ChannelName,
    address: Address,
    reason: Annotated[str, typer.Option(help=f"{', '.join(Reason)}, or a provider's code.")] = Reason.OPERATOR,
) -> None:
    """Send an address, or a person, nothing more: from now on, also in runs under way."""
    checked(channel, address)  # a wrong word is answered before a server is waited for
    with open_desk(console) as desk:
        with transaction(desk.engine) as session:
            done = suppress(session, build_hasher(desk.settings), channel, address, actor=desk.actor, reason=reason)
        desk.call_up(done.waiting)
        state = "Was suppressed already" if done.already else "Suppressed"
        since = f"{done.entry.reason}, since {done.entry.since:%Y-%m-%d %H:%M} UTC"
        console.print(f"{state} ({since}).", markup=False, highlight=False)
        if channel == PERSON:
            console.print(f"{len(done.waiting)} of their messages wait, and end now.", highlight=False)


@app.command("lift")
def lift_one(channel: ChannelName, address: Address) -> None:
    """Take an address, or a person, off the list."""
    spelled = checked(channel, address)
    with open_desk(console) as desk, transaction(desk.engine) as session:
        lifted = lift(session, channel, build_hasher(desk.settings)(channel, spelled), actor=desk.actor)
    said = f"Lifted; it was there as {lifted.reason}, since {lifted.since:%Y-%m-%d %H:%M} UTC."
    console.print(said, markup=False, highlight=False)


@app.command("list")
def list_newest(
    channel: Annotated[str | None, typer.Option(help="Of this channel alone.")] = None,
    reason: Annotated[str | None, typer.Option(help="For this reason alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
) -> None:
    """The newest entries: hashes, since no address is stored."""
    if channel is not None:
        checked_channel(channel)
    with open_desk(console) as desk, transaction(desk.engine) as session:
        console.print(suppressions_table(list_suppressions(session, limit, channel=channel, reason=reason)))


@app.command("import")
def import_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV: channel,address[,reason]; `-` is standard input.")],
) -> None:
    """Add a list; ends with 1 where rows were refused (the others are taken)."""
    with _opened(file) as source, open_desk(console) as desk:
        lines = iter(lambda: source.readline(LONGEST_LINE + 1), b"")
        done = import_list(desk.engine, lines, build_hasher(desk.settings), actor=desk.actor)
    console.print(imported_view(done))
    raise typer.Exit(1 if done.refused else 0)


@app.command()
def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="`-` is standard output.")] = "-",
) -> None:
    """Write the whole list as CSV: hashes, which count where ADDRESS_HASH_KEY is the same."""
    with open_desk(console) as desk:
        written = _write(desk, file)
    errors.print(f"{written} written.", highlight=False)


def _write(desk: Desk, file: str) -> int:
    entries = export_suppressions(desk.engine)
    rows = ((each.channel, each.address_hash, each.reason, each.source, each.since) for each in entries)
    lines = export_lines(rows, build_hasher(desk.settings).key_id)
    written = -1  # the header
    try:
        with nullcontext(sys.stdout) if file == "-" else Path(file).open("w", encoding="utf-8", newline="") as out:
            while page := list(islice(lines, 1000)):
                out.writelines(page)
                written += len(page)
    except OSError as error:
        raise typer.BadParameter(f"cannot be written: {error.strerror}", param_hint=file) from error
    return written


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(Path(file).open("rb"))
        except OSError as error:
            raise typer.BadParameter(f"cannot be read: {error.strerror}", param_hint=file) from error
        yield opened
