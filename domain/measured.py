"""What past runs have shown of a channel, and answers drawn from it where a run is only rehearsed."""

import math
from collections.abc import Mapping
from datetime import timedelta
from random import Random

from pydantic import BaseModel, ConfigDict, Field

from domain.ladder import AttemptFacts
from domain.plan import Plan
from domain.rehearsal import Answer, Role
from domain.states import AttemptState, Awaited, FailureKind

ASSUMED_PER_SECOND = 30.0
"""What one worker hands over where no run has shown it: below what `make bench` measures on two cores."""
LEAST_MEASURED = 20
"""A share of fewer says nothing: what is assumed instead is named."""
_P90 = 1.2816
"""Standard deviations from the median to the ninetieth percentile."""


class Latency(BaseModel):
    model_config = ConfigDict(frozen=True)

    median_seconds: float
    p90_seconds: float

    def drawn(self, lot: Random) -> timedelta:
        """Log-normal: most answers come soon, some late."""
        median = max(self.median_seconds, 0.001)
        spread = math.log(max(self.p90_seconds / median, 1.0)) / _P90
        return timedelta(seconds=min(lot.lognormvariate(math.log(median), spread), 100 * max(self.p90_seconds, 1.0)))


class ChannelRecord(BaseModel):
    """Counted over past runs; each share with what it is a share of."""

    model_config = ConfigDict(frozen=True)

    channel: str
    tried: int = 0
    """Tries with an outcome."""
    failed: Mapping[FailureKind, int] = Field(default_factory=dict)
    unknown: int = 0
    to_acknowledge: int = 0
    """Tries that a provider took and a device of ours was to answer."""
    acknowledged: int = 0
    acknowledged_after: Latency | None = None
    to_click: int = 0
    """Messages that this channel carried last."""
    clicked: int = 0
    clicked_after: Latency | None = None
    per_second: float | None = None
    """In the busiest ten seconds."""
    of_this_campaign: bool = True

    @property
    def knows_outcomes(self) -> bool:
        return self.tried >= LEAST_MEASURED

    @property
    def knows_acknowledgements(self) -> bool:
        return self.to_acknowledge >= LEAST_MEASURED

    @property
    def knows_clicks(self) -> bool:
        return self.to_click >= LEAST_MEASURED


class MeasuredAnswers:
    """Each try draws its own lot from seed, recipient, channel and number: the same in whatever order it is asked."""

    def __init__(self, records: Mapping[str, ChannelRecord], plan: Plan, seed: int) -> None:
        self._records = records
        self._plan = plan
        self._seed = seed

    def to(self, role: Role, attempt: AttemptFacts, tries: int) -> Answer:
        record = self._records.get(attempt.channel)
        if record is None:
            return Answer()
        lot = Random(f"{self._seed}:{role.recipient_id}:{attempt.channel}:{tries}")  # noqa: S311 - no secret
        return self._refusal(record, lot) or self._reaction(record, role, lot)

    @staticmethod
    def _refusal(record: ChannelRecord, lot: Random) -> Answer | None:
        drawn = lot.random() * record.tried
        if not record.knows_outcomes:
            return None
        for kind, count in sorted(record.failed.items()):
            if drawn < count:
                return Answer(AttemptState.FAILED, kind)
            drawn -= count
        return Answer(AttemptState.UNKNOWN) if drawn < record.unknown else None

    def _reaction(self, record: ChannelRecord, role: Role, lot: Random) -> Answer:
        acknowledges, clicks = lot.random(), lot.random()
        ways: list[Answer] = []
        device = role.message.acknowledges and record.knows_acknowledgements
        if device and record.acknowledged_after and acknowledges * record.to_acknowledge < record.acknowledged:
            ways.append(Answer(answered_after=record.acknowledged_after.drawn(lot)))
        person = Awaited.CLICK in self._plan.awaits and record.knows_clicks
        if person and record.clicked_after and clicks * record.to_click < record.clicked:
            ways.append(Answer(answered_after=record.clicked_after.drawn(lot), answered_by=Awaited.CLICK))
        return min(ways, key=lambda way: way.answered_after or timedelta(), default=Answer())
