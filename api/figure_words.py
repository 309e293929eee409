"""The figures of a run in words, the same on the page and in the terminal."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import NamedTuple, TypeGuard

from db.figures import RunFigures
from domain.states import RunState

NONE_YET = "–"  # noqa: RUF001 - the dash is meant
STILL_OPEN = "still open"
NOT_ENOUGH = "not enough data"

_ENDED = {RunState.CLOSED, RunState.CANCELLED, RunState.FAILED}


class Words(NamedTuple):
    said: str
    note: str = ""
    why: str = ""
    """A sentence, for whoever asks."""
    known: bool = False
    """Whether it is a figure; else it says why there is none."""

    def __str__(self) -> str:
        return f"{self.said} ({self.note})" if self.note else self.said


NOT_MEASURED = Words("not measured", why="The campaign does not say what would have helped.")
NO_HOLDOUT = Words("no holdout", why="Nobody is held out, so that there is nobody to compare with.")


def known(number: float | None) -> TypeGuard[float]:
    """Whether it can be shown as a number at all."""
    return number is not None and isfinite(number)


def count_words(count: float) -> str:
    return f"{count:,.0f}"


def share_words(share: float) -> str:
    return f"{share:.1%}"


def points_words(difference: float) -> str:
    """A difference of shares, in percentage points."""
    return f"{_points(difference)} points"


def has_audience(run: RunFigures) -> bool:
    """Else its counts are not zero, but not known."""
    return run.targeted is not None and run.state is not RunState.FAILED


def sending(run: RunFigures) -> bool:
    """Whether its counts may still change of themselves."""
    return run.state not in _ENDED


def measuring(run: RunFigures) -> bool:
    """Whether an outcome may still come."""
    return sending(run) or bool(run.effectiveness and run.effectiveness.awaited)


def _count(count: Callable[[RunFigures], int]) -> Callable[[RunFigures], Words]:
    return lambda run: Words(count_words(count(run)), known=True) if has_audience(run) else Words(NONE_YET)


def _click_through_rate(run: RunFigures) -> Words:
    rate = run.click_through_rate
    return Words(share_words(rate), known=True) if known(rate) else Words(NONE_YET)


def _effectiveness(run: RunFigures) -> Words:
    """Of the windows that have closed, where some are still open."""
    it = run.effectiveness
    if it is None:
        return NOT_MEASURED
    why = it.waits_because or ""
    if known(it.share):
        return Words(share_words(it.share), STILL_OPEN if measuring(run) else "", why, known=True)
    return Words(STILL_OPEN if measuring(run) else NOT_ENOUGH, why=why)


def _lift(run: RunFigures) -> Words:
    """With its interval as the note; without one, the beginning of `why`, which goes on after a colon."""
    it = run.lift
    if it is None:
        return NO_HOLDOUT
    if known(it.lift) and known(it.low) and known(it.high):
        return Words(points_words(it.lift), f"{_points(it.low)} to {_points(it.high)}", known=True)
    return Words((it.why or NOT_ENOUGH).partition(":")[0], why=it.why or "")


def _points(difference: float) -> str:
    """With the sign that is typeset, not the hyphen; what rounds to nothing has none."""
    rounded = round(difference * 100, 1)
    sign = "+" if rounded > 0 else "−" if rounded < 0 else ""  # noqa: RUF001 - the minus sign is meant
    return f"{sign}{abs(rounded):.1f}"


FIGURES: Mapping[str, Callable[[RunFigures], Words]] = {
    "targeted": _count(lambda run: run.targeted or 0),
    "held out": _count(lambda run: run.held_out),
    "sent": _count(lambda run: run.sent),
    "failed": _count(lambda run: run.failed),
    "clicked": _count(lambda run: run.clicked),
    "click-through rate": _click_through_rate,
    "effectiveness": _effectiveness,
    "lift": _lift,
}
"""In the order in which they are shown."""
