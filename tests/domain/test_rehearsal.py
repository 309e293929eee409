"""A whole audience in virtual time: what one message does alone, and what messages have to do with each other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, repeat
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from domain.ladder import AttemptFacts, Done, MessageFacts, RunFacts, Send, Wait
from domain.persons import PersonFacts, RecentSend
from domain.plan import Launch, Plan, Rung
from domain.rehearsal import Answer, Decided, Rehearsal, Role
from domain.rules import Cap, SendWindow
from domain.states import AttemptState, Awaited, FailureKind, HoldReason, MessageState, RunState
from tests.domain.test_ladder_properties import OUTCOMES, messages, people, plans
from tests.domain.virtual import MESSAGE, START, VirtualRun
from tests.domain.virtual import Answer as Outcome

HOUR = timedelta(hours=1)
RUN = RunFacts(RunState.RUNNING, START)
PLAN = Plan(
    ladder=(Rung(channel="fcm", ttl_seconds=3600), Rung(channel="mqtt", ttl_seconds=3600)), awaits=frozenset(Awaited)
)
DEAD = Answer(AttemptState.FAILED, FailureKind.ADDRESS_REJECTED)


@dataclass
class Told:
    """By recipient and channel, what becomes of each try, the last for ever; where nothing stands, silence."""

    script: Mapping[tuple[str, str], Sequence[Answer]] = field(default_factory=dict)

    def to(self, role: Role, attempt: AttemptFacts, tries: int) -> Answer:
        told = self.script.get((role.recipient_id, attempt.channel), [Answer()])
        return told[min(tries, len(told)) - 1]


@dataclass
class InTurn:
    answers: Iterator[Outcome]

    def to(self, _: Role, __: AttemptFacts, tries: int) -> Answer:
        outcome = next(self.answers)
        return Answer(AttemptState.FAILED, outcome) if isinstance(outcome, FailureKind) else Answer(outcome)


def a_role(number: int, *, device: bool = True, person: PersonFacts | None = None, key: str | None = None) -> Role:
    name = f"person-{number}"
    addresses = {"fcm": (f"token-{number}",), "mqtt": (f"device-{number}",)}
    message = MessageFacts(
        uuid5(MESSAGE, name), MessageState.PLANNED, addresses=addresses, position=number, acknowledges=device
    )
    return Role(name, message, person or PersonFacts(), key or name)


def played(rehearsal: Rehearsal) -> dict[str, list[Decided]]:
    """By recipient, what is more than waiting for an answer."""
    by_recipient: dict[str, list[Decided]] = {}
    last = START
    for each in rehearsal.decisions():
        assert each.at >= last
        last = each.at
        if not (isinstance(each.step, Wait) and each.step.reason in {HoldReason.AWAITING, HoldReason.NOT_RELEASED}):
            by_recipient.setdefault(each.role.recipient_id, []).append(each)
    return by_recipient


def sends(decisions: Sequence[Decided]) -> list[tuple[timedelta, str]]:
    return [(each.at - START, each.step.channel) for each in decisions if isinstance(each.step, Send)]


def ends(decisions: Sequence[Decided]) -> list[tuple[timedelta, MessageState]]:
    return [(each.at - START, each.step.state) for each in decisions if isinstance(each.step, Done)]


@given(plans, messages, people, st.lists(st.sampled_from(OUTCOMES), max_size=25))
def test_a_rehearsal_of_one_message_is_what_the_driver_of_one_message_does(
    plan: Plan, message: MessageFacts, person: PersonFacts, outcomes: list[Outcome]
) -> None:
    alone = VirtualRun(plan, message, chain(outcomes, repeat(AttemptState.SENT)), person=person)
    alone.drive()
    answers = InTurn(chain(outcomes, repeat(AttemptState.SENT)))
    rehearsal = Rehearsal(plan, RUN, [Role("alone", message, person)], answers)
    assert [each.step for each in rehearsal.decisions()] == alone.steps


casts = st.lists(st.tuples(messages, people, st.sampled_from(["a", "b", None])), min_size=1, max_size=8).map(
    lambda some: [
        Role(f"r{n}", replace(message, id=UUID(int=n), position=n), person, key)
        for n, (message, person, key) in enumerate(some, start=1)
    ]
)


@given(plans, casts, st.lists(st.sampled_from([*OUTCOMES]), max_size=40), st.sampled_from([None, 0.01, 5.0]), st.data())
def test_everybody_ends_once_and_nobody_is_sent_to_before_their_time(
    plan: Plan, cast: list[Role], outcomes: list[Outcome], rate: float | None, lots: st.DataObject
) -> None:
    canary = lots.draw(st.none() | st.integers(1, len(cast)))
    answers = InTurn(chain(outcomes, repeat(AttemptState.SENT)))
    rehearsal = Rehearsal(plan, RUN, cast, answers, {"fcm": rate, "mqtt": rate}, canary=canary)
    not_before: dict[str, datetime] = {}
    ended: dict[str, MessageState] = {}
    for each in rehearsal.decisions():
        name = each.role.recipient_id
        assert name not in ended
        if isinstance(each.step, Wait) and each.step.until and each.step.reason is not HoldReason.NOT_RELEASED:
            not_before[name] = each.step.until
        elif isinstance(each.step, Send):
            assert each.at >= not_before.get(name, START)
        elif isinstance(each.step, Done):
            ended[name] = each.step.state
    assert set(ended) == {role.recipient_id for role in cast}


def test_each_recipient_gets_what_the_script_says() -> None:
    script = {
        ("person-1", "fcm"): [Answer(answered_after=timedelta(minutes=5))],
        ("person-2", "fcm"): [DEAD],
        ("person-3", "fcm"): [Answer(AttemptState.FAILED, FailureKind.BUSY, retry_after=60), Answer()],
        ("person-3", "mqtt"): [Answer(answered_after=3 * HOUR)],
    }
    cast = [a_role(1), a_role(2), a_role(3), a_role(4, device=False)]
    seen = played(Rehearsal(PLAN, RUN, cast, Told(script)))
    assert sends(seen["person-1"]) == [(timedelta(), "fcm")]
    assert ends(seen["person-1"]) == [(timedelta(minutes=5), MessageState.DELIVERED)]
    assert sends(seen["person-2"]) == [(timedelta(), "fcm"), (timedelta(), "mqtt")]
    assert ends(seen["person-2"]) == [(HOUR, MessageState.EXPIRED)]
    _, again, fallback = sends(seen["person-3"])
    assert timedelta(seconds=60) <= again[0] <= timedelta(seconds=75)
    assert fallback == (again[0] + HOUR, "mqtt")
    assert ends(seen["person-3"]) == [
        (fallback[0] + HOUR, MessageState.EXPIRED),
        (fallback[0] + 3 * HOUR, MessageState.DELIVERED),
    ]
    assert seen["person-3"][-1].late
    assert ends(seen["person-4"]) == [(2 * HOUR, MessageState.SENT)]


def test_a_click_counts_only_where_the_plan_awaits_one() -> None:
    clicked = Told({("person-1", "fcm"): [Answer(answered_after=timedelta(minutes=1), answered_by=Awaited.CLICK)]})
    awaited = played(Rehearsal(PLAN, RUN, [a_role(1)], clicked))
    assert ends(awaited["person-1"]) == [(timedelta(minutes=1), MessageState.DELIVERED)]
    acknowledgements = PLAN.model_copy(update={"awaits": frozenset({Awaited.ACKNOWLEDGEMENT})})
    ignored = played(Rehearsal(acknowledgements, RUN, [a_role(1)], clicked))
    assert ends(ignored["person-1"]) == [(2 * HOUR, MessageState.EXPIRED)]


def test_a_channels_rate_spaces_its_sends_and_nobody_else_s() -> None:
    seen = played(Rehearsal(PLAN, RUN, [a_role(n) for n in range(1, 11)], Told(), {"fcm": 2.0}))
    fcm = sorted(at for decisions in seen.values() for at, channel in sends(decisions) if channel == "fcm")
    assert fcm == [timedelta(seconds=n / 2) for n in range(10)]
    mqtt = sorted(at for decisions in seen.values() for at, channel in sends(decisions) if channel == "mqtt")
    assert mqtt == [at + HOUR for at in fcm]


def test_a_rate_never_sends_into_a_window_that_has_closed_meanwhile() -> None:
    closing = PLAN.model_copy(update={"window": SendWindow(opens=9, closes=10), "awaits": frozenset()})
    cast = [a_role(n) for n in range(1, 102)]
    seen = played(Rehearsal(closing, RUN, cast, Told(), {"fcm": 50 / 3600}))
    at = sorted(at for decisions in seen.values() for at, _ in sends(decisions))
    assert len(at) == 101
    assert sum(each < HOUR for each in at) == 50
    assert all(each % timedelta(days=1) < HOUR for each in at)


def test_sends_of_the_rehearsal_itself_count_for_a_persons_cap() -> None:
    capped = PLAN.model_copy(update={"caps": (Cap(count=1, days=7),), "awaits": frozenset()})
    seen = played(Rehearsal(capped, RUN, [a_role(1, key="one"), a_role(2, key="one"), a_role(3)], Told()))
    assert sends(seen["person-1"]) == [(timedelta(), "fcm")]
    (put_off,) = [each.step for each in seen["person-2"] if isinstance(each.step, Wait)]
    assert put_off.reason is HoldReason.CAP
    assert sends(seen["person-2"])[0][0] >= timedelta(days=7)
    assert sends(seen["person-3"]) == [(timedelta(), "fcm")]


def test_a_refused_send_counts_for_no_cap() -> None:
    capped = PLAN.model_copy(update={"caps": (Cap(count=1, days=7),), "awaits": frozenset()})
    refused = Answer(AttemptState.FAILED, FailureKind.MESSAGE_REJECTED)
    told = Told({("person-1", channel): [refused] for channel in ("fcm", "mqtt")})
    seen = played(Rehearsal(capped, RUN, [a_role(1, key="one"), a_role(2, key="one")], told))
    assert ends(seen["person-1"]) == [(timedelta(), MessageState.FAILED)]
    assert sends(seen["person-2"]) == [(timedelta(), "fcm")]


def test_an_own_try_that_nobody_knows_of_does_not_cap_the_next() -> None:
    repeated = PLAN.model_copy(
        update={
            "ladder": (Rung(channel="fcm", ttl_seconds=3600, retries_unknown=True),),
            "caps": (Cap(count=1, days=7),),
            "awaits": frozenset(),
        }
    )
    told = Told({("person-1", "fcm"): [Answer(AttemptState.UNKNOWN), Answer()]})
    seen = played(Rehearsal(repeated, RUN, [a_role(1, key="one"), a_role(2, key="one")], told))
    assert len(sends(seen["person-1"])) == 2
    assert ends(seen["person-1"])[0][0] < timedelta(minutes=1)
    assert ends(seen["person-2"])[0][0] >= timedelta(days=7)


def test_a_message_that_is_let_go_is_not_looked_at_when_it_would_have_been() -> None:
    """While it was not released its look was planned for its valid-until, in the midst of the wait that follows."""
    valid = PLAN.model_copy(update={"valid_for_seconds": 1800, "launch": Launch(canary_percent=50)})
    rehearsal = Rehearsal(valid, RUN, [a_role(1), a_role(2)], Told(), canary=1)
    steps = [each.step for each in rehearsal.decisions() if each.role.recipient_id == "person-2"]
    assert [type(step) for step in steps] == [Wait, Send, Wait, Done]


def test_an_address_that_is_dead_for_one_is_dead_for_all_who_come_later() -> None:
    first, second = a_role(1), a_role(2)
    shared = replace(second, message=replace(second.message, addresses=first.message.addresses))
    seen = played(Rehearsal(PLAN, RUN, [first, shared], Told({("person-1", "fcm"): [DEAD]}), {"fcm": 1.0}))
    assert [channel for _, channel in sends(seen["person-2"])] == ["mqtt"]


def test_the_others_go_when_the_canary_was_watched_long_enough() -> None:
    watched = PLAN.model_copy(update={"launch": Launch(canary_percent=20, canary_watch_seconds=600)})
    rehearsal = Rehearsal(watched, RUN, [a_role(n) for n in range(1, 11)], Told(), {"fcm": 1.0}, canary=2)
    seen = played(rehearsal)
    first = sorted(sends(decisions)[0][0] for decisions in seen.values())
    assert first[:2] == [timedelta(), timedelta(seconds=1)]
    assert first[2:] == [timedelta(seconds=601 + n) for n in range(8)]
    assert rehearsal.canary_settled_at == START + timedelta(seconds=1)
    assert rehearsal.released_at == START + timedelta(seconds=601)


def test_the_others_do_not_wait_for_one_of_the_canary_whom_a_cap_puts_off_for_days() -> None:
    launch = Launch(canary_percent=20, canary_watch_seconds=600)
    capped = PLAN.model_copy(update={"launch": launch, "caps": (Cap(count=1, days=7),)})
    first = a_role(1)
    lately = replace(first.person, recent_sends=(RecentSend(START - timedelta(days=1), capped.priority),))
    cast = [replace(first, person=lately), *(a_role(n) for n in range(2, 11))]
    rehearsal = Rehearsal(capped, RUN, cast, Told(), canary=2)
    seen = played(rehearsal)
    assert rehearsal.released_at == START + timedelta(seconds=600)
    assert sends(seen["person-1"])[0][0] >= timedelta(days=6)
    assert sends(seen["person-3"])[0][0] == timedelta(seconds=600)


def test_nothing_is_sent_before_the_undo_window_is_over() -> None:
    seen = played(Rehearsal(PLAN, RUN, [a_role(1)], Told(), opens_at=START + timedelta(minutes=10)))
    assert sends(seen["person-1"])[0] == (timedelta(minutes=10), "fcm")


def test_the_held_out_end_where_they_would_have_been_sent() -> None:
    held_out = a_role(1)
    held_out = replace(held_out, message=replace(held_out.message, held_out=True))
    opens_later = PLAN.model_copy(update={"window": SendWindow(opens=12, closes=18)})
    (decisions,) = played(Rehearsal(opens_later, RUN, [held_out], Told())).values()
    assert [type(each.step) for each in decisions] == [Wait, Done]
    assert timedelta(hours=3) <= decisions[-1].at - START <= timedelta(hours=3, minutes=1)
    assert ends(decisions)[0][1] is MessageState.HELD_OUT
