"""The picture and the page of a message's life, held against the rules."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest

from activities.measuring import SELDOMEST_LOOK
from db.facts import _may_be_delivered
from db.tables import Message
from domain.hand_over import HAND_OVER_LIMIT
from domain.ladder import UNSETTLED_FOR, AttemptFacts, Done, MessageFacts, RunFacts, Send, next_step, unfinished_state
from domain.outcomes import Outcome
from domain.persons import PersonFacts
from domain.plan import Plan, Rung
from domain.states import (
    UNFINISHED_STATES,
    AttemptState,
    Awaited,
    FailureKind,
    HoldReason,
    MessageState,
    RunState,
    may_leave_its_end,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "life-of-a-message.md").read_text()
PICTURE = ET.parse(DOCS / "life-of-a-message.svg").getroot()  # noqa: S314 - our own file

Transition = tuple[str, str]
ENDS = {state for state in MessageState if state not in UNFINISHED_STATES} | {MessageState.SENT}

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
TRIES: list[tuple[AttemptState, FailureKind | None]] = [
    (AttemptState.RELEASED, None),
    (AttemptState.SENT, None),
    (AttemptState.UNKNOWN, None),
    (AttemptState.FAILED, FailureKind.BUSY),
    (AttemptState.FAILED, FailureKind.ADDRESS_REJECTED),
    (AttemptState.FAILED, FailureKind.MESSAGE_REJECTED),
]
IN_FLIGHT = (AttemptState.SENDING, None)


def end(state: MessageState) -> str:
    """`sent` is a state and an end; every other word is one of the two."""
    return f"{state}:end" if state is MessageState.SENT else state


def some_histories() -> Iterator[tuple[AttemptFacts, ...]]:
    """Up to two tries, on one rung or on two; only the newest can be in flight."""
    for length in range(3):
        for tries in product(TRIES, repeat=length):
            for last in [*tries[-1:], IN_FLIGHT] if tries else []:
                for channels in {("fcm", "fcm"), ("fcm", "mqtt")}:
                    yield tuple(
                        an_attempt(number, channel, *a_try)
                        for number, (channel, a_try) in enumerate(zip(channels, [*tries[:-1], last], strict=False), 1)
                    )
    yield ()


def an_attempt(number: int, channel: str, state: AttemptState, failure: FailureKind | None) -> AttemptFacts:
    deadline = START + MINUTE if state is AttemptState.SENT else None
    return AttemptFacts(number, channel, f"{channel}-address", state, START, deadline, failure)


def some_plans() -> Iterator[Plan]:
    for repeats, awaits, valid in product([True, False], [frozenset[Awaited](), frozenset(Awaited)], [None, 3600]):
        ladder = tuple(Rung(channel=each, ttl_seconds=60, retries_unknown=repeats) for each in ("fcm", "mqtt"))
        yield Plan(ladder=ladder, awaits=awaits, valid_for_seconds=valid)


def some_messages() -> Iterator[MessageFacts]:
    """As the database has them: the state is what the attempts make of it."""
    reachable = {channel: (f"{channel}-address",) for channel in ("fcm", "mqtt")}
    for attempts, acknowledges, addresses in product(some_histories(), [True, False], [reachable, {}]):
        state = unfinished_state(attempts)
        yield MessageFacts(UUID(int=7), state, attempts, addresses, acknowledges=acknowledges)
    yield MessageFacts(UUID(int=7), MessageState.PLANNED, (), reachable, held_out=True)


def by_decision() -> Iterator[Transition]:
    """What db/decisions.py writes: a try that is in flight for too long is settled first, in the same transaction."""
    runs = [RunFacts(state, START) for state in (RunState.RUNNING, RunState.CANCELLED)]
    people = [PersonFacts(), PersonFacts(suppressed_because="unsubscribed")]
    for message, plan, run, later, person in product(some_messages(), some_plans(), runs, [2 * MINUTE, DAY], people):
        settled = message
        if message.state is MessageState.SENDING:
            settled = replace(message, attempts=(*message.attempts[:-1], lost(message.attempts[-1])))
        match next_step(settled, plan, run, person, START + later):
            case Send():
                yield message.state, MessageState.SENDING
            case Done(state=state):
                yield message.state, end(state)
            case _:
                yield message.state, unfinished_state(settled.attempts)


def lost(attempt: AttemptFacts) -> AttemptFacts:
    return replace(attempt, state=AttemptState.UNKNOWN)


def by_record() -> Iterator[Transition]:
    """What db/outcomes.py writes."""
    for message, (state, failure) in product(some_messages(), TRIES):
        if message.state is MessageState.SENDING:
            recorded = replace(message.attempts[-1], state=state, failure=failure)
            yield message.state, unfinished_state((*message.attempts[:-1], recorded))


def by_fact() -> Iterator[Transition]:
    """What db/facts.py writes."""
    for state in UNFINISHED_STATES:
        assert _may_be_delivered(Message(state=state, ended_at=None))
        yield state, MessageState.DELIVERED


def after_the_end() -> Iterator[Transition]:
    for old, new in product(ENDS, MessageState):
        if may_leave_its_end(old, new):
            yield end(old), end(new)


@pytest.fixture(scope="module")
def allowed() -> set[Transition]:
    found = {*by_decision(), *by_record(), *by_fact(), *after_the_end()}
    return {(str(old), str(new)) for old, new in found if old != new}


def drawn() -> list[Transition]:
    arrows = [arrow for arrow in PICTURE.iter() if arrow.get("data-from")]
    return [(arrow.attrib["data-from"], arrow.attrib["data-to"]) for arrow in arrows]


def shown(attribute: str) -> set[str]:
    return {found for each in PICTURE.iter() if (found := each.get(attribute))}


def test_the_page_lists_every_transition_that_the_rules_allow_and_no_other(allowed: set[Transition]) -> None:
    table = PAGE.split("## Every transition")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `([\w:]+)` \| `([\w:]+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(allowed)


def test_the_picture_draws_only_what_the_rules_allow(allowed: set[Transition]) -> None:
    assert len(drawn()) == len(set(drawn())) > len(ENDS)
    assert set(drawn()) <= allowed


def test_the_picture_shows_every_state_and_every_end_and_how_it_comes_to_be() -> None:
    assert shown("data-state") == UNFINISHED_STATES
    assert shown("data-end") == ENDS
    reached: set[str] = {MessageState.PLANNED}
    for _ in drawn():
        reached |= {new for old, new in drawn() if old in reached}
    assert reached == {*UNFINISHED_STATES, *map(end, ENDS)}


def test_page_and_picture_name_every_reason_to_wait() -> None:
    words = {text for each in PICTURE.iter() if (text := each.text)}
    assert words >= set(HoldReason)
    assert all(f"`{reason}`" in PAGE for reason in HoldReason)


@pytest.mark.parametrize("words", [MessageState, Outcome])
def test_the_page_names_every_word(words: type[MessageState | Outcome]) -> None:
    assert all(f"`{word}`" in PAGE for word in words)


def test_the_times_that_page_and_picture_name_are_those_of_the_code() -> None:
    unsettled, limit = UNSETTLED_FOR.total_seconds(), HAND_OVER_LIMIT.total_seconds()
    assert f"`sending` for {unsettled:g} s" in PAGE
    assert f"More than {limit:g} s after" in PAGE
    assert f"{unsettled:g} s, then not known" in "".join(PICTURE.itertext())
    assert timedelta(hours=1) == SELDOMEST_LOOK
    assert "within an hour after the close" in PAGE
