"""Whatever is paused and resumed, when, and by which clock: nobody is lost, sent to early or given up early."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, repeat

from hypothesis import event, given, settings
from hypothesis import strategies as st

from domain.clock import ClockPolicy
from domain.ladder import MessageFacts
from domain.persons import PersonFacts
from domain.plan import Plan
from domain.states import HANDED_OVER, AttemptState, Awaited, FailureKind, MessageState, RunState
from tests.domain import test_ladder_properties as ladder
from tests.domain.virtual import MESSAGE, Answer
from tests.domain.watched import WatchedRun

LONG_ENOUGH = timedelta(days=60)
MAY_HAVE_ARRIVED = HANDED_OVER | {AttemptState.SENDING, AttemptState.UNKNOWN}


@dataclass(frozen=True)
class Way:
    """Of one message: who it is for, and what becomes of its tries."""

    message: MessageFacts
    person: PersonFacts
    answers: list[Answer]
    flights: list[timedelta | None]

    def begin(self, plan: Plan) -> WatchedRun:
        """A list that ends is followed by what is good."""
        answers, flights = chain(self.answers, repeat(AttemptState.SENT)), chain(self.flights, repeat(timedelta()))
        return WatchedRun(plan, self.message, answers, person=self.person, flights=flights)


@dataclass(frozen=True)
class Happening:
    later: timedelta
    """Than the one before."""
    answers: int | None
    """The number of the message that is answered; None: the run is paused, or resumed where it is paused."""
    policy: ClockPolicy


# Most are sent, most are awaited: else hardly one would be there when the run is paused.
plans = st.builds(
    lambda plan, awaits: plan.model_copy(update={"awaits": awaits}),
    ladder.plans,
    st.sampled_from([frozenset(Awaited)] * 3 + [frozenset({Awaited.CLICK}), frozenset()]),
)
messages = st.builds(
    MessageFacts,
    id=st.just(MESSAGE),
    state=st.just(MessageState.PLANNED),
    addresses=st.just({"fcm": ("old", "token"), "mqtt": ("device",)}) | ladder.addresses,
    acknowledges=st.booleans(),
)
outcomes: st.SearchStrategy[Answer] = st.sampled_from(
    [AttemptState.SENT] * 4 + [AttemptState.UNKNOWN, AttemptState.RELEASED, *FailureKind]
)
flights = st.sampled_from([timedelta(), timedelta(), timedelta(seconds=3), timedelta(seconds=40), None])
ways = st.builds(Way, messages, ladder.people, st.lists(outcomes, max_size=8), st.lists(flights, max_size=8))
happenings = st.builds(
    Happening,
    st.one_of([st.timedeltas(timedelta(), timedelta(hours=hours)) for hours in (0.01, 2, 30)]),
    st.sampled_from([None, None, None, 0, 1, 2]),
    st.sampled_from(ClockPolicy),
)


def happen(run: WatchedRun, number: int, what: Happening) -> None:
    if what.answers is not None:
        if what.answers == number and any(each.state in MAY_HAVE_ARRIVED for each in run.message.attempts):
            run.acknowledge()
    elif run.run.state is RunState.PAUSED:
        run.resume(what.policy)
    else:
        run.pause()


def live(plan: Plan, of_each: Sequence[Way], happened: Sequence[Happening]) -> Iterator[WatchedRun]:
    """Each message through all that happens to their run, and on to its end."""
    for number, way in enumerate(of_each):
        run = way.begin(plan)
        for what in happened:
            run.live(run.now + what.later)
            happen(run, number, what)
        if run.run.state is RunState.PAUSED:
            run.resume()
        run.live(run.now + LONG_ENOUGH)
        yield run


@settings(max_examples=400, deadline=None)
@given(plans, st.lists(ways, min_size=1, max_size=3), st.lists(happenings, min_size=2, max_size=12))
def test_nobody_is_lost_sent_early_or_given_up_early_and_all_ends_balance(
    plan: Plan, of_each: list[Way], happened: list[Happening]
) -> None:
    for run in live(plan, of_each, happened):
        assert run.message.ended, "lost"
        run.assert_balanced()
        event(f"ended as {run.message.state}")
        event(f"{min(len(run.pauses), 3)} pauses, {min(len(run.claims), 3)} claims")
