"""What the terminal shows of people: the suppression list, and what became of an import."""

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.views import plain
from db.suppression_import import Imported
from db.suppressions import SuppressionView

_HASH_SHOWN = 12


def suppressions_table(entries: Iterable[SuppressionView]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("since", "channel", "reason", "who says so", "hash", "run"):
        table.add_column(column, no_wrap=True)
    for each in entries:
        run = str(each.run_id)[:8] if each.run_id else ""
        since = f"{each.since:%Y-%m-%d %H:%M}"
        words = (since, each.channel, each.reason, each.source, f"{each.address_hash[:_HASH_SHOWN]}…", run)
        table.add_row(*map(plain, words))
    return table if table.row_count else Text("Nobody is on the list.")


def imported_view(done: Imported) -> RenderableType:
    counts = f"{done.rows} rows: {done.added} added, {done.known} known before, {done.refused} refused."
    refused = [plain(f"  line {each.line}: {each.why}", "yellow") for each in done.reported]
    hidden = done.refused - len(done.reported)
    more = [Text(f"  … and {hidden} more", "yellow")] if hidden else []
    return Group(Text(counts), *refused, *more)
