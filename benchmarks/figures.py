"""The figures of one round, and what rounds say together."""

from collections.abc import Sequence
from statistics import median

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.statements import StatementCost

BARE, OURS = "bare", "ours"
PARTS = ("worker", "temporal", "postgres", "devices")
NOISY_FROM = 0.15
"""Processors that others kept busy, on average: above it a round is not to be trusted."""


class Round(BaseModel):
    """CPU in milliseconds a recipient, memory in megabytes at the end."""

    model_config = ConfigDict(frozen=True)

    engine: str
    """bare or ours."""
    recipients: int
    seconds: float
    """From the start of the run until every recipient's workflow has ended."""
    closed_seconds: float
    """Until the run's own workflow has ended too, which looks every few seconds."""
    cpu: dict[str, float]
    """By part."""
    memory: dict[str, float]
    """By part."""
    load_before: float
    load_after: float
    others: float
    """Processors that were busy with something else, on average."""
    threads: dict[str, float] = Field(default_factory=dict)
    """The worker's CPU, by kind of thread."""
    statements: dict[str, StatementCost] = Field(default_factory=dict)
    """The worker's and the devices', where they were counted, for one recipient."""

    @property
    def rate(self) -> float:
        """Recipients a second."""
        return self.recipients / self.seconds

    @property
    def noisy(self) -> bool:
        return self.others > NOISY_FROM


class Pair(BaseModel):
    """One of each, played one after the other."""

    model_config = ConfigDict(frozen=True)

    bare: Round
    ours: Round

    @property
    def ratio(self) -> float:
        return self.ours.rate / self.bare.rate

    @property
    def noisy(self) -> bool:
        return self.bare.noisy or self.ours.noisy


class Results(BaseModel):
    """All that one `make bench` has measured."""

    model_config = ConfigDict(frozen=True)

    machine: str
    pairs: list[Pair]
    growth: list[Pair] = Field(default_factory=list)
    counted: Round | None = None
    """A round of ours whose statements were counted, and whose time is not used."""

    @property
    def ratio(self) -> float:
        return median(pair.ratio for pair in self.pairs)

    @property
    def noisy(self) -> bool:
        return any(pair.noisy for pair in [*self.pairs, *self.growth])


def rates(rounds: Sequence[Round]) -> tuple[float, float, float]:
    """Median, least, most."""
    each = [it.rate for it in rounds]
    return median(each), min(each), max(each)
