"""A rehearsal's decisions, counted one by one, so that nothing but counts is kept of a large audience."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from domain.forecast import ChannelForecast, Hour, Pace, PutOff
from domain.ladder import AttemptFacts, Done, Send, Wait
from domain.rehearsal import Decided
from domain.states import AttemptState, FailureKind, HoldReason, MessageState

PUT_OFF = frozenset(HoldReason) - {
    HoldReason.AWAITING,
    HoldReason.IN_FLIGHT,
    HoldReason.PAUSED,
    HoldReason.NOT_STARTED,
    HoldReason.NOT_RELEASED,
}
"""A person's rule, or a provider: what a run as a whole waits for is told apart."""
NEVER_SENT = frozenset({MessageState.SUPPRESSED, MessageState.HELD_OUT, MessageState.WITHDRAWN})


class Tally:
    """Told of each decision in the order of time."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._ends: dict[int, tuple[MessageState, str | None]] = {}
        self._put_off: dict[HoldReason, _PutOffs] = {}
        self._hours: dict[datetime, Counter[str]] = {}
        self._channels: dict[str, _Sends] = {}
        self.last_end: datetime | None = None

    def count(self, decided: Decided) -> None:
        match decided.step:
            case Send():
                if decided.attempt is not None:
                    self._count_try(decided.attempt)
            case Wait(until=until, reason=reason):
                if reason in PUT_OFF:
                    self._put_off.setdefault(reason, _PutOffs()).add(decided.role.message.position, until)
            case Done(state=state, reason=reason):
                self._ends[decided.role.message.position] = (state, reason)
                if not decided.late:
                    self.last_end = decided.at

    @property
    def ends(self) -> Mapping[MessageState, int]:
        return Counter(state for state, _ in self._ends.values())

    @property
    def not_sent(self) -> Mapping[str, int]:
        return Counter(reason or state for state, reason in self._ends.values() if state in NEVER_SENT)

    @property
    def put_off(self) -> tuple[PutOff, ...]:
        found = [
            PutOff(reason=reason, messages=len(each.positions), until_first=each.first, until_last=each.last)
            for reason, each in self._put_off.items()
        ]
        return tuple(sorted(found, key=lambda each: -each.messages))

    @property
    def hours(self) -> tuple[Hour, ...]:
        return tuple(Hour(begins=begins, sends=sends) for begins, sends in sorted(self._hours.items(), key=_instant))

    def channel(self, name: str, pace: Pace, cost: Decimal | None, currency: str | None) -> ChannelForecast:
        sends = self._channels.get(name, _Sends())
        return ChannelForecast(
            channel=name,
            pace=pace,
            tries=sends.tries,
            sends=sends.taken,
            failed=sends.failed,
            unknown=sends.unknown,
            seconds_at_pace=round(sends.tries / pace.per_second, 1),
            first_send=sends.first,
            last_send=sends.last,
            cost=None if cost is None else cost * sends.taken,
            currency=None if cost is None else currency,
        )

    def _count_try(self, attempt: AttemptFacts) -> None:
        sends = self._channels.setdefault(attempt.channel, _Sends())
        sends.tries += 1
        if attempt.failure is not None:
            sends.failed[attempt.failure] += 1
            return
        sends.taken += 1
        sends.unknown += attempt.state is AttemptState.UNKNOWN
        sends.first = sends.first or attempt.claimed_at
        sends.last = attempt.claimed_at
        hour = attempt.claimed_at.astimezone(self._zone).replace(minute=0, second=0, microsecond=0)
        self._hours.setdefault(hour, Counter())[attempt.channel] += 1


class _Sends:
    def __init__(self) -> None:
        self.tries = self.taken = self.unknown = 0
        self.failed: Counter[FailureKind] = Counter()
        self.first: datetime | None = None
        self.last: datetime | None = None


class _PutOffs:
    def __init__(self) -> None:
        self.positions: set[int] = set()
        self.first: datetime | None = None
        self.last: datetime | None = None

    def add(self, position: int, until: datetime | None) -> None:
        self.positions.add(position)
        if until is not None:
            self.first = min(self.first or until, until)
            self.last = max(self.last or until, until)


def _instant(item: tuple[datetime, Counter[str]]) -> float:
    """Not the wall clock, which shows one hour twice when summer time ends."""
    return item[0].timestamp()
