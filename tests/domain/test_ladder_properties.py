"""What must hold for every message, whatever providers, devices and operators do, in whatever order."""

from datetime import timedelta
from itertools import chain, repeat

from hypothesis import given
from hypothesis import strategies as st

from domain.ladder import Done, MessageFacts, RunFacts, Send, Wait
from domain.persons import PersonFacts, RecentSend
from domain.plan import Plan, Rung
from domain.proof import difference
from domain.rules import Cap, ConsentRule, QuietHours, SendWindow
from domain.states import AttemptState, Awaited, FailureKind, HoldReason, MessageState, RunState, may_leave_its_end
from tests.domain.virtual import MESSAGE, START, Answer, VirtualRun

ONLY_A_NUDGE_HELPS = {HoldReason.PAUSED, HoldReason.NOT_STARTED, HoldReason.NOT_RELEASED}
OUTCOMES: list[Answer] = [AttemptState.SENT, AttemptState.UNKNOWN, AttemptState.RELEASED, *FailureKind]

answers = st.lists(st.sampled_from(OUTCOMES), max_size=25).map(lambda some: chain(some, repeat(AttemptState.SENT)))
rungs = st.builds(
    Rung,
    channel=st.just("fcm"),
    ttl_seconds=st.integers(1, 7200),
    max_tries=st.integers(1, 4),
    max_unknown=st.integers(1, 3),
    retries_unknown=st.booleans(),
)
ladders = st.tuples(rungs, rungs).map(lambda two: (two[0], two[1].model_copy(update={"channel": "mqtt"})))
plans = st.builds(
    Plan,
    ladder=ladders,
    awaits=st.sampled_from([frozenset(), frozenset(Awaited)]),
    window=st.sampled_from([None, SendWindow(opens=9, closes=18), SendWindow(opens=0, closes=1)]),
    quiet_hours=st.sampled_from([None, QuietHours(begin=14, end=0), QuietHours(begin=12, end=14)]),
    caps=st.sampled_from([(), (Cap(count=1, days=1),)]),
    priority=st.sampled_from([0, 5, 9]),
    consent=st.sampled_from([None, ConsentRule(purpose="news"), ConsentRule(purpose="news", opt_in=True)]),
    valid_for_seconds=st.none() | st.integers(1, 200_000),
    max_lateness_seconds=st.none() | st.integers(0, 7200),
)
addresses = st.fixed_dictionaries(
    {},
    optional={
        "fcm": st.sampled_from([("token",), ("old", "token")]),
        "mqtt": st.just(("device",)),
    },
)
people = st.builds(
    PersonFacts,
    zone=st.sampled_from([None, "Asia/Dhaka", "America/New_York"]),
    zone_candidates=st.sampled_from([(), ("Asia/Kathmandu", "Asia/Dhaka"), ("Pacific/Auckland", "Europe/London")]),
    is_person=st.booleans(),
    recent_sends=st.sampled_from([(), (RecentSend(START - timedelta(hours=3), 5),)]),
    suppressed=st.sampled_from([{}, {"fcm": {"token": "unsubscribed"}}]),
    suppressed_because=st.sampled_from([None, None, None, "complaint"]),
    consents=st.sampled_from([{}, {"*": True}, {"*": True, "fcm": False}]),
)
messages = st.builds(
    MessageFacts,
    id=st.just(MESSAGE),
    state=st.just(MessageState.PLANNED),
    addresses=addresses,
    acknowledges=st.booleans(),
)
runs = st.builds(VirtualRun, plan=plans, message=messages, answers=answers, person=people)
happenings = st.lists(
    st.tuples(
        st.sampled_from(["pause", "resume", "acknowledge", "cancel", "look"]),
        st.timedeltas(timedelta(), timedelta(hours=30)),
    ),
    max_size=12,
)


def happen(run: VirtualRun, what: str) -> None:
    if what == "pause" and run.run.state is RunState.RUNNING:
        run.pause()
    elif what == "resume" and run.run.state is RunState.PAUSED:
        run.resume()
    elif what == "cancel" and run.run.state is not RunState.CANCELLED:
        run.cancel()
    elif what == "acknowledge" and run.sent_at:
        run.acknowledge()


@given(runs, happenings)
def test_every_message_ends_and_balances_whatever_happens(run: VirtualRun, events: list[tuple[str, timedelta]]) -> None:
    for what, later in events:
        run.now += later
        happen(run, what)
        run.look()
        assert difference(run.message) is None
    if run.run.state is RunState.PAUSED:
        run.resume()
    end = run.drive()
    assert isinstance(end, Done)
    assert run.message.ended
    assert difference(run.message) is None


@given(runs, happenings)
def test_only_what_an_operator_holds_waits_without_an_end(run: VirtualRun, events: list[tuple[str, timedelta]]) -> None:
    for what, later in events:
        run.now += later
        happen(run, what)
        step = run.look()
        if isinstance(step, Wait):
            assert (step.until is not None and step.until > run.now) or step.reason in ONLY_A_NUDGE_HELPS


@given(runs, happenings)
def test_nothing_is_sent_while_paused_or_after_a_cancel(run: VirtualRun, events: list[tuple[str, timedelta]]) -> None:
    for what, later in events:
        run.now += later
        happen(run, what)
        step = run.look()
        if run.run.state is not RunState.RUNNING:
            assert not isinstance(step, Send)


@given(runs, st.lists(st.timedeltas(timedelta(), timedelta(days=40)), max_size=5))
def test_deadlines_shift_by_exactly_the_time_paused(run: VirtualRun, pauses: list[timedelta]) -> None:
    run.drive(until=lambda: bool(run.sent_at))
    newest = run.message.newest
    if newest is None or newest.state is not AttemptState.SENT or not run.plan.awaits:
        return
    before = run.look()
    assert isinstance(before, Wait)
    for length in pauses:
        run.pause()
        run.now += length
        run.resume()
    after = run.look()
    assert isinstance(after, Wait)
    assert before.until
    assert after.until == before.until + sum(pauses, timedelta())


@given(runs, happenings)
def test_an_end_is_never_left_by_looking_again(run: VirtualRun, events: list[tuple[str, timedelta]]) -> None:
    run.run = RunFacts(RunState.RUNNING, START)
    run.drive()
    ended = run.message.state
    for what, later in events:
        run.now += later
        if what != "acknowledge":
            happen(run, what)
        assert run.look() == Done(ended)


def test_out_of_an_end_leads_only_later_knowledge() -> None:
    leaves = {(old, new) for old in MessageState for new in MessageState if may_leave_its_end(old, new)}
    state = MessageState
    assert leaves == {
        (state.EXPIRED, state.DELIVERED),
        (state.UNKNOWN, state.SENT),
        (state.UNKNOWN, state.DELIVERED),
        (state.UNKNOWN, state.FAILED),
        (state.UNKNOWN, state.PLANNED),
        (state.SENT, state.DELIVERED),
        (state.SENT, state.FAILED),
    }
