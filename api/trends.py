"""What the page shows of a campaign's runs: seven figures over time, and a table of the runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from markupsafe import Markup

from api.charts import Point, interval_chart, line_chart
from api.figure_words import (
    FIGURES,
    Words,
    count_words,
    has_audience,
    known,
    measuring,
    points_words,
    sending,
    share_words,
)
from db.figures import RunFigures


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure over time."""

    name: str
    newest: Words
    ends: tuple[str, str] | None
    """The lowest and the highest; None where there are not two values."""
    chart: Markup
    twice: bool
    """It needs twice the width."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run in the table."""

    slot: str
    run: str
    """The beginning of its id, as the commands take it."""
    began: str
    state: str
    cells: dict[str, Words]
    """By column."""


@dataclass(frozen=True, slots=True)
class _Charted:
    name: str
    value: Callable[[RunFigures], float | None]
    on_axis: Callable[[float], str]
    """How a value is written at the axis."""
    settled: Callable[[RunFigures], bool]


def trends(runs: Sequence[RunFigures], zone: tzinfo, *, older: bool = False) -> list[Trend]:
    """`runs` with the newest first, as they are read; `older`: there are newer ones."""
    return [_trend(figure, runs[::-1], zone, older=older) for figure in _CHARTED]


def rows(runs: Sequence[RunFigures], zone: tzinfo) -> list[Row]:
    return [
        Row(
            slot=run.slot,
            run=str(run.run_id)[:8],
            began=moment(run.started_at or run.created_at, zone),
            state=run.state,
            cells={name: words(run) for name, words in FIGURES.items()},
        )
        for run in runs
    ]


def moment(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%a %-d %b %Y, %H:%M %Z}"


def _trend(figure: _Charted, runs: Sequence[RunFigures], zone: tzinfo, *, older: bool) -> Trend:
    """`runs` with the oldest first."""
    newest, ends = _newest(figure, runs, zone, older=older), _ends(figure, runs)
    over = f"{figure.name} over {len(runs)} {'run' if len(runs) == 1 else 'runs'}"
    said = f"newest {newest}, lowest {ends[0]}, highest {ends[1]}" if ends else str(newest)
    draw = interval_chart if figure is _LIFT else line_chart
    return Trend(
        name=figure.name,
        newest=newest,
        ends=ends,
        chart=draw(f"{over}: {said}", [_point(figure, run, zone) for run in runs]),
        twice=figure is _LIFT,
    )


def _newest(figure: _Charted, runs: Sequence[RunFigures], zone: tzinfo, *, older: bool) -> Words:
    """The newest value that is known, and of which run, where that is not the newest of all."""
    shown = next((run for run in reversed(runs) if known(figure.value(run))), None)
    words = FIGURES[figure.name](shown or runs[-1])
    if shown is not None and (older or shown is not runs[-1]):
        of_which = f"of {_day(shown.created_at, zone)}"
        return words._replace(note=f"{words.note}; {of_which}" if words.note else of_which)
    return words._replace(note=words.note or "so far") if shown and not figure.settled(shown) else words


def _ends(figure: _Charted, runs: Sequence[RunFigures]) -> tuple[str, str] | None:
    values = [value for run in runs if known(value := figure.value(run))]
    return (figure.on_axis(min(values)), figure.on_axis(max(values))) if len(values) > 1 else None


def _point(figure: _Charted, run: RunFigures, zone: tzinfo) -> Point:
    lift = run.lift if figure is _LIFT else None
    return Point(
        words=f"{_day(run.created_at, zone)}, {run.slot}: {FIGURES[figure.name](run)}",
        value=figure.value(run),
        low=lift.low if lift else None,
        high=lift.high if lift else None,
        settled=figure.settled(run),
    )


def _day(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%-d %b %Y}"


def _count(name: str, count: Callable[[RunFigures], int]) -> _Charted:
    settled = has_audience if name == "targeted" else _sent
    return _Charted(name, lambda run: count(run) if has_audience(run) else None, count_words, settled)


def _share(run: RunFigures) -> float | None:
    return run.effectiveness.share if run.effectiveness else None


def _difference(run: RunFigures) -> float | None:
    return run.lift.lift if run.lift else None


def _sent(run: RunFigures) -> bool:
    return not sending(run)


def _measured(run: RunFigures) -> bool:
    return not measuring(run)


_LIFT = _Charted("lift", _difference, points_words, _measured)
_CHARTED = (
    _count("targeted", lambda run: run.targeted or 0),
    _count("sent", lambda run: run.sent),
    _count("failed", lambda run: run.failed),
    _count("clicked", lambda run: run.clicked),
    _Charted("click-through rate", lambda run: run.click_through_rate, share_words, _sent),
    _Charted("effectiveness", _share, share_words, _measured),
    _LIFT,
)
