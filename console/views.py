"""What the terminal shows: tables and panels, made from what the database says."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from activities.dry_run import DryRun
from campaigns.registry import Registry
from db.ledger import Progress
from db.proof import Proof
from db.runs import RunView
from domain.states import MessageState, RunState

_RUN_STYLES = {
    RunState.RUNNING: "green",
    RunState.PAUSED: "yellow",
    RunState.CANCELLED: "red",
    RunState.FAILED: "red",
    RunState.CLOSED: "bold",
}
_STATE_STYLES = {
    MessageState.DELIVERED: "green",
    MessageState.SENT: "cyan",
    MessageState.EXPIRED: "yellow",
    MessageState.FAILED: "red",
    MessageState.UNKNOWN: "magenta",
}


def plain(text: str, style: str = "") -> Text:
    """Text from outside as it is: rich would take what stands in brackets as an order, a terminal what follows ESC."""
    return Text("".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text), style)


def state_text(state: str) -> Text:
    return Text(state, style=_RUN_STYLES.get(RunState(state), ""))


def runs_table(runs: Iterable[RunView]) -> RenderableType:
    table = _table("run", "campaign", "slot", "state", ("targeted", "right"), "started")
    for run in runs:
        targeted = "" if run.targeted is None else str(run.targeted)
        name, started = (plain(run.campaign), plain(run.slot)), _when(run.started_at)
        table.add_row(str(run.id)[:8], *name, state_text(run.state), targeted, started)
    return table if table.row_count else Text("No run yet: `drumbeat run CAMPAIGN` starts one.")


def campaigns_table(registry: Registry) -> RenderableType:
    table = _table("campaign", "what it does", "by itself", "parameters")
    for campaign in registry.campaigns.values():
        schedule = (
            f"{campaign.schedule.cron} {campaign.schedule.zone}, missed: {campaign.schedule.missed}"
            if campaign.schedule
            else "never"
        )
        parameters = registry.parameters(campaign.name, {}).model_dump()
        shown = ", ".join(f"{name}={value}" for name, value in parameters.items())
        table.add_row(*map(plain, (campaign.name, campaign.purpose, schedule, shown)))
    return table


def run_panel(run: RunView, stand: Progress, waits: str | None = None) -> RenderableType:
    """One run as it stands: a bar of what has ended, states, channels, holds, clicks, and what its snapshot counted.

    `waits` is what it waits for before it sends to everybody.
    """
    targeted = run.targeted or 0
    unfinished = stand.states.get("planned", 0) + stand.states.get("sending", 0) + stand.awaiting
    bypass = "frequency caps are bypassed" if run.bypass_frequency_caps else ""
    retry = f"retries what failed in {str(run.retry_of)[:8]}" if run.retry_of else ""
    said = "  ".join(filter(None, (run.state_reason, bypass, retry)))
    head = Text.assemble(state_text(run.state), "  ", plain(said), style="bold")
    ended = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(targeted, 1), completed=max(targeted - unfinished, 0), width=30)
    ended.add_row(bar, f"{targeted - unfinished} of {targeted} ended, {stand.handed_over} handed over")
    tables = side_by_side([*_columns(stand), *_snapshot_columns(run.left_out, run.noted)])
    title = plain(f"{run.campaign}  {run.slot}")
    return Panel(
        Group(head, *([Text(waits)] if waits else []), ended, tables), title=title, subtitle=str(run.id), expand=False
    )


def proof_panel(proof: Proof) -> RenderableType:
    verdict = Text("balanced", style="bold green") if proof.balanced else Text("DOES NOT BALANCE", style="bold red")
    table = _table("message", "is", "should be", "why")
    table.columns[0].overflow = "fold"  # an id must be there whole, to be looked for elsewhere
    for each in proof.differences:
        table.add_row(str(each.message_id), each.state, each.expected, plain(each.why))
    counts = Text(
        f"{proof.targeted} targeted at the snapshot, {proof.rows} rows now, "
        f"{proof.unfinished} not ended yet, {proof.different} not what their attempts make of them"
    )
    parts: list[RenderableType] = [verdict, counts, _reports(proof), counts_table("state", proof.states, _STATE_STYLES)]
    parts += [table] if proof.differences else []
    parts += [_report_differences(proof)] if proof.report_differences else []
    return Panel(Group(*parts), title="proof", expand=False)


def _reports(proof: Proof) -> Text:
    if not proof.reports:
        return Text("no channel's own report to hold it against: `drumbeat report` imports one", style="dim")
    against = ", ".join(
        f"{each.channel} ({each.messages} messages, {_when(each.reported_at)})" for each in proof.reports
    )
    return plain(f"held against the own report of {against}; {proof.report_different} tries differ")


def _report_differences(proof: Proof) -> RenderableType:
    table = _table("by report: message", "try", "as it travelled", "why")
    for column in table.columns:
        column.overflow = "fold"  # as above
    for each in proof.report_differences:
        tried = f"{each.attempt} by {each.channel}" if each.attempt else each.channel
        table.add_row(str(each.message_id or ""), plain(tried), plain(each.attempt_id), plain(each.why))
    return table


def dry_run_view(prediction: DryRun) -> RenderableType:
    table = _table("recipient", "first", "address", "text")
    for each in prediction.samples:
        table.add_row(*map(plain, (each.recipient_id, each.decision, each.address, f"{each.title}: {each.body}")))
    columns = [
        ("would be sent by", prediction.by_channel),
        ("would wait", prediction.deferred),
        ("would not be sent", prediction.not_sent),
    ]
    first = [counts_table(title, counts) for title, counts in columns if counts]
    grid = side_by_side([*first, *_snapshot_columns(prediction.left_out, prediction.noted)])
    head = Text(f"{prediction.targeted} people are targeted. Nothing was stored, nothing was sent.", style="bold")
    off = [Text(f"off, and no rung of it: {', '.join(prediction.off)}", style="yellow")] if prediction.off else []
    title = plain(f"dry run of {prediction.campaign}")
    return Panel(Group(head, *off, grid, table), title=title, expand=False)


def side_by_side(tables: Iterable[RenderableType]) -> RenderableType:
    """As many in a row as the terminal has room for."""
    return Columns(tables, padding=(0, 3))


def counts_table(title: str, counts: Mapping[Any, int], styles: Mapping[MessageState, str] | None = None) -> Table:
    table = _table(title, ("", "right"))
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        table.add_row(plain(name.replace("_", " "), dict(styles or {}).get(name, "")), str(count))
    return table


def _columns(stand: Progress) -> list[RenderableType]:
    states = {name: count for name, count in stand.states.items() if name != "sent"}
    ended_sent = stand.states.get("sent", 0) - stand.awaiting
    states |= {name: count for name, count in (("sent", ended_sent), ("awaiting", stand.awaiting)) if count}
    columns: list[RenderableType] = [counts_table("messages", states, _STATE_STYLES)]
    columns += [counts_table(channel, attempts) for channel, attempts in sorted(stand.attempts.items())]
    columns += [
        counts_table(title, counts) for title, counts in (("held", stand.held), ("clicks", stand.clicks)) if counts
    ]
    return columns


def _snapshot_columns(left_out: Mapping[str, int], noted: Mapping[str, int]) -> list[RenderableType]:
    return [
        counts_table(title, counts) for title, counts in (("left out", left_out), ("worth a look", noted)) if counts
    ]


def _table(*columns: str | tuple[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        name, justify = column if isinstance(column, tuple) else (column, "left")
        table.add_column(plain(name), justify="right" if justify == "right" else "left")
    return table


def _when(at: datetime | None) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""
