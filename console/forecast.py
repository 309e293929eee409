"""A forecast in the terminal: a chart of its sends, what stands in the way, and what it rests on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from console.views import counts_table, plain, side_by_side
from domain.forecast import ChannelForecast, Forecast, Hour, Launched, PutOff
from domain.measured import ChannelRecord, Latency

ROWS_AT_MOST = 36
LONGEST_BAR = 60
STEPS = (1, 2, 3, 6, 12, 24)
COLOURS = ("cyan", "magenta", "yellow", "green", "blue")


def forecast_view(forecast: Forecast) -> RenderableType:
    head = f"{forecast.targeted:,} {_people(forecast.targeted)} targeted. Nothing was stored, nothing was sent."
    parts: list[RenderableType] = [
        Text(),
        plain(f"rehearsal of {forecast.campaign}", "bold"),
        Text(head, "bold"),
        *map(Text, _course(forecast)),
    ]
    if forecast.off:
        parts.append(Text(f"Off, and no rung of it: {', '.join(forecast.off)}.", "yellow"))
    if forecast.launch.would_halt:
        parts.append(plain(_halt(forecast), "bold red"))
    if forecast.hours:
        parts += [Text(), _Chart(forecast)]
    parts += [_channels_table(forecast.channels)]
    if forecast.put_off:
        parts.append(_put_off_table(forecast.put_off, ZoneInfo(forecast.zone)))
    parts.append(side_by_side(_counts(forecast)))
    parts += _listed("Measured", filter(None, map(_measured, forecast.measured)))
    parts += _listed("Assumed", forecast.assumed)
    return Group(*parts)


def _people(count: int) -> str:
    return "person is" if count == 1 else "people are"


def _course(forecast: Forecast) -> Iterator[str]:
    """The run from its start to its end, in sentences."""
    zone = ZoneInfo(forecast.zone)
    yield f"It would start on {_when(forecast.starts_at, zone)} (all times in {forecast.zone})."
    yield from _launch_words(forecast.launch, zone)
    if forecast.first_send is None or forecast.last_send is None:
        yield "Nobody would be sent anything."
    else:
        first, last = _when(forecast.first_send, zone), _when(forecast.last_send, zone)
        yield f"First send: {first}."
        yield f"Last send:  {last}, {duration(forecast.last_send - forecast.first_send)} later."
    if forecast.last_end is not None:
        yield f"Last end:   {_when(forecast.last_end, zone)}; from then on nobody is waited for."
    yield _cost_words(forecast)


def _launch_words(launch: Launched, zone: ZoneInfo) -> Iterator[str]:
    if launch.undo_until is not None:
        yield f"Undo window until {_when(launch.undo_until, zone)}."
    if launch.canary is not None and launch.others_go_at is not None:
        yield f"{launch.canary:,} go first; the others from {_when(launch.others_go_at, zone)} on."


def _halt(forecast: Forecast) -> str:
    at = forecast.launch.would_halt_at
    when = f" on {_when(at, ZoneInfo(forecast.zone))}" if at else ""
    return f"It would stop{when}, {forecast.launch.would_halt}; the rest is what comes if it is resumed at once."


def _cost_words(forecast: Forecast) -> str:
    unknown = [each.channel for each in forecast.channels if each.cost is None and each.sends]
    known = ", ".join(money(cost, currency) for currency, cost in forecast.cost.items())
    if not known:
        return "What it costs is not known: no channel says." if unknown else "It costs nothing."
    return f"It costs {known}" + (f", {', '.join(unknown)} apart, which does not say." if unknown else ".")


@dataclass(frozen=True, slots=True)
class _Chart:
    """Sends by the hour, or by more hours where there are too many; what is between them is told in a line."""

    forecast: Forecast

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = [each.channel for each in self.forecast.channels if each.sends]
        colours = dict(zip(names, COLOURS * len(names), strict=False))
        step, rows = _rows(self.forecast.hours)
        most = max(sends.total() for _, sends in rows)
        width = max(min(LONGEST_BAR, options.max_width - 30), 10)
        legend = Text(f"sends {'an hour' if step == 1 else f'in {step} hours'}  ", "bold")
        for name in names:
            legend.append("█ ", colours[name]).append(f"{name}  ")
        yield legend
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(no_wrap=True)
        last: datetime | None = None
        for begins, sends in rows:
            if last is not None and (gap := _hours_between(last, begins) - step) > 0:
                grid.add_row(Text(f"  {gap} h without a send", "dim"), "", "")
            grid.add_row(f"{begins:%a %d %b %H:%M}", f"{sends.total():,}", _bar(sends, colours, most, width))
            last = begins
        yield grid


def _rows(hours: Sequence[Hour]) -> tuple[int, list[tuple[datetime, Counter[str]]]]:
    """The fewest hours together that leave few enough rows."""
    step = 1
    for step in (*STEPS, *(24 * days for days in range(2, 367))):
        rows = _together(hours, step)
        if len(rows) <= ROWS_AT_MOST:
            break
    return step, rows


def _together(hours: Sequence[Hour], step: int) -> list[tuple[datetime, Counter[str]]]:
    rows: dict[int, tuple[datetime, Counter[str]]] = {}
    first = hours[0].begins
    for hour in hours:
        number = _hours_between(first, hour.begins) // step
        begins = datetime.fromtimestamp(first.timestamp() + number * step * 3600, first.tzinfo)
        rows.setdefault(number, (begins, Counter()))[1].update(hour.sends)
    return list(rows.values())


def _hours_between(earlier: datetime, later: datetime) -> int:
    return round((later.timestamp() - earlier.timestamp()) / 3600)


def _bar(sends: Mapping[str, int], colours: Mapping[str, str], most: int, width: int) -> Text:
    """At least a sliver for each channel that sends at all."""
    bar = Text()
    for name, colour in colours.items():
        if sends.get(name):
            bar.append("█" * max(round(sends[name] / most * width), 1), colour)
    return bar


def _channels_table(channels: Iterable[ChannelForecast]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("channel")
    for name in ("sends", "unknown", "refused", "a second", "takes", "costs"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in channels:
        pace = f"{each.pace.per_second:,.5g} {each.pace.basis}"
        refused = sum(each.failed.values())
        takes = duration(timedelta(seconds=each.seconds_at_pace))
        cost = "?" if each.cost is None else money(each.cost, each.currency or "")
        counts = [f"{count:,}" for count in (each.sends, each.unknown, refused)]
        table.add_row(plain(each.channel), *counts, pace, takes, cost)
    return table


def _counts(forecast: Forecast) -> Iterator[RenderableType]:
    yield counts_table("would end as", forecast.ends)
    shown = {"would not be sent": forecast.not_sent, "left out": forecast.left_out, "worth a look": forecast.noted}
    for title, counts in shown.items():
        if counts:
            yield counts_table(title, counts)


def _put_off_table(put_off: Iterable[PutOff], zone: ZoneInfo) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("would wait")
    table.add_column("", justify="right")
    table.add_column("until")
    for each in put_off:
        first, last = each.until_first, each.until_last
        until = " to ".join(dict.fromkeys(f"{at.astimezone(zone):%a %d %b %H:%M}" for at in (first, last) if at))
        table.add_row(each.reason.replace("_", " "), f"{each.messages:,}", until)
    return table


def _measured(record: ChannelRecord) -> str:
    """What the answers are drawn from, as far as there is enough of it."""
    said: list[str] = []
    if record.knows_outcomes:
        said.append(f"of {record.tried:,} tries {_share(sum(record.failed.values()), record.tried)} were refused")
    if record.knows_acknowledgements:
        share = _share(record.acknowledged, record.to_acknowledge)
        said.append(f"of {record.to_acknowledge:,} devices {share} acknowledged{_soon(record.acknowledged_after)}")
    if record.knows_clicks:
        share = _share(record.clicked, record.to_click)
        said.append(f"of {record.to_click:,} messages {share} were clicked{_soon(record.clicked_after)}")
    if record.per_second:
        said.append(f"up to {record.per_second:,.4g} a second")
    whose = "this campaign's runs" if record.of_this_campaign else "all campaigns' runs"
    return f"{record.channel}, {whose} of 90 days: {'; '.join(said)}." if said else ""


def _soon(latency: Latency | None) -> str:
    return f", half within {duration(timedelta(seconds=latency.median_seconds))}" if latency else ""


def _share(part: int, of: int) -> str:
    return f"{100 * part / of:.1f} %"


def _listed(title: str, sentences: Iterable[str]) -> list[RenderableType]:
    lines = [Padding(plain(f"· {each}", "dim"), (0, 0, 0, 2)) for each in sentences]
    return [Text(title, "bold"), *lines] if lines else []


def _when(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %d %b %Y %H:%M}"


def money(amount: Decimal, currency: str) -> str:
    return f"{amount:,.2f} {currency}" if amount else "nothing"


def duration(length: timedelta) -> str:
    """In its largest unit, and the next where there is any of it."""
    seconds = round(length.total_seconds())
    units = [("d", 86_400, 3600, "h"), ("h", 3600, 60, "min"), ("min", 60, 1, "s")]
    for name, size, next_size, next_name in units:
        if seconds >= size:
            count, rest = divmod(seconds, size)
            return f"{count} {name} {rest // next_size} {next_name}" if rest >= next_size else f"{count} {name}"
    return f"{seconds} s"
