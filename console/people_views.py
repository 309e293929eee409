"""What the terminal shows of people: the suppression list, one person's story, the audit log."""

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.views import plain
from db.audit import AuditView
from db.people import PersonStory
from db.suppression_import import Imported
from db.suppressions import SuppressionView
from domain.audit_words import actor_words

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
    return table if table.row_count else Text("The list has no such entry.")


def imported_view(done: Imported) -> RenderableType:
    counts = f"{done.rows} rows: {done.added} added, {done.known} known before, {done.refused} refused."
    refused = [plain(f"  line {each.line}: {each.why}", "yellow") for each in done.reported]
    hidden = done.refused - len(done.reported)
    more = [Text(f"  … and {hidden} more", "yellow")] if hidden else []
    return Group(Text(counts), *refused, *more)


def story_view(story: PersonStory) -> RenderableType:
    """A line for each thing that was decided; where there are several runs, with the beginning of the run's id."""
    runs = {each.run: str(each.run_id)[:8] for each in story.messages}
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    day = ""
    for line in story.story:
        at = f"{line.at:%Y-%m-%d}"
        words = (plain(f"{at if at != day else ' ' * len(at)} {line.at:%H:%M:%S}", "dim"), plain(line.sentence))
        run = plain(runs.get(line.run or "", ""), "dim")
        table.add_row(*words, *([run] if len(runs) > 1 else []))
        day = at
    head = plain(f"{story.person}, times in UTC", "bold")
    if not story.known:
        head = plain(f"{story.person}: nothing was ever decided for them, and they have said nothing.")
    return Group(head, table)


def audit_table(entries: Iterable[AuditView]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("at (UTC)", no_wrap=True)
    table.add_column("who")
    table.add_column("did what", ratio=1)
    table.add_column("run", overflow="fold")
    for each in entries:
        words = (
            f"{each.at:%Y-%m-%d %H:%M:%S}",
            actor_words(each.actor, each.actor_name),
            each.sentence,
            each.run or "",
        )
        table.add_row(*map(plain, words))
    return table if table.row_count else Text("The audit log has no such entry.")
