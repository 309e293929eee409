"""A rehearsal's figures against the thresholds at which a real run would pause."""

from datetime import datetime
from heapq import heappop, heappush

from domain.ladder import Done, Send
from domain.launching import Share, Watched, tripped, watches
from domain.plan import Plan
from domain.rehearsal import Decided
from domain.states import HANDED_OVER, MessageState

_ANSWERED_OR_NOT = frozenset({MessageState.DELIVERED, MessageState.EXPIRED})


class Watch:
    """Told of each decision in the order of time. Nobody complains in a rehearsal."""

    def __init__(self, plan: Plan) -> None:
        self._halt = plan.halt
        self._watches = watches(plan.halt)
        self._later_rungs = plan.later_rungs
        self._tried: set[int] = set()
        self._failed = 0
        self._time_is_up: list[tuple[datetime, int]] = []
        self._due: set[int] = set()
        self._ends: dict[int, MessageState] = {}
        self._acknowledged = self._of = 0
        self.tripped: str | None = None
        """The first threshold that was passed, in words."""
        self.tripped_at: datetime | None = None

    def count(self, decided: Decided, *, canary_settled: bool = False) -> None:
        """`canary_settled`: all of it were tried, and the others wait."""
        if not self._watches or self.tripped:
            return
        self._note(decided)
        self._pass_deadlines(decided.at)
        watched = Watched(
            failed=Share(self._failed, len(self._tried)),
            acknowledged=Share(self._acknowledged, self._of),
            canary_settled=canary_settled,
        )
        if reason := tripped(self._halt, watched):
            self.tripped, self.tripped_at = reason, decided.at

    def _note(self, decided: Decided) -> None:
        message = decided.role.message
        attempt = decided.attempt
        if isinstance(decided.step, Send) and attempt is not None and attempt.state in HANDED_OVER:
            if message.position not in self._tried and message.acknowledges and attempt.deadline is not None:
                heappush(self._time_is_up, (attempt.deadline + self._later_rungs, message.position))
            self._tried.add(message.position)
        elif isinstance(decided.step, Done) and not decided.late:
            self._end(message.position, decided.step.state)

    def _end(self, position: int, state: MessageState) -> None:
        self._ends[position] = state
        if state is MessageState.FAILED:
            self._tried.add(position)
            self._failed += 1
        if position in self._due:
            self._judge(state)

    def _pass_deadlines(self, now: datetime) -> None:
        """Everybody of the same age, whether they answered at once or never: else the quick ones would flatter it."""
        while self._time_is_up and self._time_is_up[0][0] <= now:
            _, position = heappop(self._time_is_up)
            if position in self._ends:
                self._judge(self._ends[position])
            else:
                self._due.add(position)

    def _judge(self, state: MessageState) -> None:
        if state in _ANSWERED_OR_NOT:
            self._of += 1
            self._acknowledged += state is MessageState.DELIVERED
