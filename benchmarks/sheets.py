"""The results as sheets: the same rows for the terminal and for docs/benchmarks.md."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.figures import Pair, Results, Round, rates

_STATEMENTS_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Sheet:
    title: str
    columns: Sequence[str]
    """The first is to the left, the others are figures."""
    rows: Sequence[Sequence[str]]
    note: str = ""


def sheets_of(results: Results) -> list[Sheet]:
    sheets = [_rounds(results), _cpu(results.pairs), _threads(results.pairs)]
    if results.growth:
        sheets.append(_growth(results.growth))
    if results.counted:
        sheets.append(_statements(results.counted))
    return sheets


def verdict(results: Results) -> str:
    ratios = [pair.ratio for pair in results.pairs]
    ours = rates([pair.ours for pair in results.pairs])
    cpu = _medians(results.pairs, lambda it: sum(it.cpu.values()))
    return (
        f"Ours does {results.ratio:.2f} of the bare engine (rounds: {min(ratios):.2f} to {max(ratios):.2f}): "
        f"{ours[0]:.1f} recipients a second ({ours[1]:.1f} to {ours[2]:.1f}), "
        f"with {cpu[1]:.0f} ms of CPU for each, where the bare engine takes {cpu[0]:.0f} ms."
    )


def warning(results: Results) -> str | None:
    """None: the machine was quiet."""
    if not results.noisy:
        return None
    worst = max(each.others for pair in [*results.pairs, *results.growth] for each in (pair.bare, pair.ours))
    return f"Other work ran on this machine: up to {worst:.2f} processors of it. Measure again when it is quiet."


def _rounds(results: Results) -> Sheet:
    rows = [_round_row(str(number), pair) for number, pair in enumerate(results.pairs, start=1)]
    bare, ours = _medians(results.pairs, lambda it: it.rate)
    middle = ["median", "", f"{bare:.1f}", f"{ours:.1f}", f"{results.ratio:.2f}", "", "", ""]
    columns = ["round", "recipients", "bare /s", "ours /s", "ratio", "load before", "after", "others"]
    note = "Others: processors that other work kept busy, during bare's and during our run."
    return Sheet("Recipients a second, from a run's start to its last recipient's end", columns, [*rows, middle], note)


def _round_row(name: str, pair: Pair) -> list[str]:
    return [
        name,
        str(pair.ours.recipients),
        f"{pair.bare.rate:.1f}",
        f"{pair.ours.rate:.1f}",
        f"{pair.ratio:.2f}",
        f"{pair.bare.load_before:.1f}",
        f"{pair.ours.load_after:.1f}",
        f"{pair.bare.others:.2f}, {pair.ours.others:.2f}",
    ]


def _growth(pairs: Sequence[Pair]) -> Sheet:
    columns = ["recipients", "bare /s", "ours /s", "ratio", "bare CPU ms", "ours CPU ms", "our worker MB", "others"]
    return Sheet("Growth: one run of each size", columns, list(map(_growth_row, pairs)))


def _growth_row(pair: Pair) -> list[str]:
    return [
        str(pair.ours.recipients),
        f"{pair.bare.rate:.1f}",
        f"{pair.ours.rate:.1f}",
        f"{pair.ratio:.2f}",
        f"{sum(pair.bare.cpu.values()):.0f}",
        f"{sum(pair.ours.cpu.values()):.0f}",
        f"{pair.ours.memory['worker']:.0f}",
        f"{max(pair.bare.others, pair.ours.others):.2f}",
    ]


_PARTS = {
    "worker": "worker",
    "temporal": "Temporal's server",
    "postgres": "PostgreSQL",
    "devices": "acknowledgements, nudges",
}


def _cpu(pairs: Sequence[Pair]) -> Sheet:
    def row(title: str, part: str) -> list[str]:
        cpu, memory = _medians(pairs, lambda it: it.cpu[part]), _medians(pairs, lambda it: it.memory[part])
        return [title, *(f"{each:.1f}" for each in cpu), *(f"{each:.0f}" for each in memory)]

    totals = [f"{each:.1f}" for each in _medians(pairs, lambda it: sum(it.cpu.values()))]
    columns = ["part", "bare CPU ms", "ours CPU ms", "bare MB", "ours MB"]
    rows = [row(title, part) for part, title in _PARTS.items()]
    return Sheet("CPU for one recipient, and memory at the end", columns, [*rows, ["together", *totals, "", ""]])


_THREADS = {
    "fcm": "sends: claim, hand over, record",
    "core": "batches and surveys",
    "temporal_workflow_": "workflow code",
    "MainThread": "event loop",
    "native": "the SDK's native threads",
}


def _threads(pairs: Sequence[Pair]) -> Sheet:
    def row(title: str, kind: str) -> list[str]:
        return [title, *(f"{each:.1f}" for each in _medians(pairs, lambda it: it.threads.get(kind, 0.0)))]

    rows = [row(title, kind) for kind, title in _THREADS.items()]
    return Sheet("The worker's CPU for one recipient, by kind of thread", ["threads", "bare ms", "ours ms"], rows)


def _statements(counted: Round) -> Sheet:
    shown = list(counted.statements.items())[:_STATEMENTS_SHOWN]
    rows = [[f"`{kind}`", f"{cost.count:.2f}", f"{cost.seconds * 1000:.2f}"] for kind, cost in shown]
    all_of = counted.statements.values()
    total = ["all", f"{sum(it.count for it in all_of):.1f}", f"{sum(it.seconds for it in all_of) * 1000:.1f}"]
    note = "Waiting for a processor is in it: the time is what the thread saw, not CPU."
    return Sheet("SQL for one recipient", ["statement", "count", "ms"], [*rows, total], note)


def _medians(pairs: Sequence[Pair], figure: Callable[[Round], float]) -> tuple[float, float]:
    """Bare, ours."""
    return median(figure(pair.bare) for pair in pairs), median(figure(pair.ours) for pair in pairs)
