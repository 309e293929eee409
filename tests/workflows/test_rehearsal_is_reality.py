"""A rehearsal against a real run of the same audience, whose providers, devices and people follow one script."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

from activities.rehearsing import Rehearser, Staged
from campaigns.registry import Registry
from db.tables import Attempt, Message
from domain.house_rules import NO_HOUSE_RULES
from domain.ids import run_workflow_id
from domain.ladder import Done, Send, Wait
from domain.message import Recipient
from domain.plan import Plan
from domain.rehearsal import Answer, Decided, Rehearsal
from domain.rules import Cap, SendWindow
from domain.states import HANDED_OVER, AttemptState, Awaited, FailureKind
from tests.db.scene import HASHER, Scene
from tests.fakes import ProbeParameters, a_person, a_probe
from tests.script import Performance, Script
from tests.stage import Stage

TTL = timedelta(seconds=6)
PARAMETERS: dict[str, Any] = {"ttl_seconds": 6, "valid_for_seconds": 30, "holdout_percent": 15}
OF_EACH = 4
AT_ONCE, SOON = timedelta(), timedelta(seconds=1)
DEAD = Answer(AttemptState.FAILED, FailureKind.ADDRESS_REJECTED)
GONE = Answer(AttemptState.FAILED, FailureKind.UNREACHABLE)
REJECTED = Answer(AttemptState.FAILED, FailureKind.MESSAGE_REJECTED)
BUSY = Answer(AttemptState.FAILED, FailureKind.BUSY, retry_after=2)
CUT = Answer(AttemptState.UNKNOWN)
ACKNOWLEDGED = Answer(answered_after=SOON)
CLICKED = Answer(answered_after=SOON, answered_by=Awaited.CLICK)

ROLES: Mapping[str, Mapping[str, Sequence[Answer]]] = {
    "acknowledges at once": {"fcm": [Answer(answered_after=AT_ONCE)]},
    "acknowledges after a while": {"fcm": [ACKNOWLEDGED]},
    "acknowledges the second rung": {"mqtt": [ACKNOWLEDGED]},
    "clicks": {"fcm": [CLICKED]},
    "stays silent": {},
    "has a dead token": {"fcm": [DEAD], "mqtt": [ACKNOWLEDGED]},
    "has a dead token and no device there": {"fcm": [DEAD], "mqtt": [GONE]},
    "is refused": {"fcm": [REJECTED], "mqtt": [REJECTED]},
    "is busy first": {"fcm": [BUSY, ACKNOWLEDGED]},
    "is busy, then silent, then answers": {"fcm": [BUSY, Answer()], "mqtt": [ACKNOWLEDGED]},
    "is cut first": {"fcm": [CUT, ACKNOWLEDGED]},
}


@dataclass(frozen=True)
class Step:
    """One decision, as rehearsal and database both tell it."""

    what: str
    at: datetime


def fixed_zone(local_hour: int) -> str:
    """A zone without summer time where it is about that hour now."""
    ahead = (local_hour - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+}"


def at_noon_and_at_midnight(parameters: ProbeParameters) -> Plan:
    """Open where it is noon now, and shut for hours where it is midnight."""
    rules = {"window": SendWindow(opens=6, closes=18), "zone": fixed_zone(12), "caps": (Cap(count=1, days=7),)}
    return a_probe().plan(parameters).model_copy(update=rules)


def audience() -> tuple[list[Recipient], list[Recipient], Script]:
    """Everybody; those of them who have had what their cap allows; and the script."""
    people = [a_person(number) for number in range(OF_EACH * len(ROLES))]
    roles = [role for role in ROLES for _ in range(OF_EACH)]
    lines = {
        (person.id, channel): answers
        for person, role in zip(people, roles, strict=True)
        for channel, answers in ROLES[role].items()
    }
    first = len(people)
    phones = [a_person(first + number, device=False) for number in range(OF_EACH)]
    asleep = [replace(a_person(first + 10 + number), zone=fixed_zone(0)) for number in range(OF_EACH)]
    capped = [a_person(first + 20 + number) for number in range(OF_EACH)]
    unreachable = [a_person(first + 30, channels=())]
    two_tokens = replace(a_person(first + 40), addresses={"fcm": ("dead", "alive")})
    lines[two_tokens.id, "fcm"] = [DEAD, ACKNOWLEDGED]
    return [*people, *phones, *asleep, *capped, *unreachable, two_tokens], capped, Script(lines)


def test_every_recipient_gets_the_decisions_that_the_rehearsal_has_foretold_and_none_too_early(stage: Stage) -> None:
    people, capped, script = audience()
    stage.people.recipients = people
    stage.registry = Registry({"probe": replace(a_probe(), plan=at_noon_and_at_midnight)})
    key = uuid4().hex
    send_to_before(Scene(stage.engine), capped)
    foretold = rehearsed(stage, script, run_workflow_id("probe", key))

    async def scenario() -> UUID:
        performance = Performance(stage, script)
        async with stage.working():
            run_id = (await stage.start(key, **PARAMETERS)).run_id
            await stage.closed(run_id)
        assert performance.tries
        return run_id

    run_id = asyncio.run(scenario())
    assert stage.proof(run_id).balanced
    messages = {message.recipient_id: message for message in stage.messages(run_id)}
    assert set(messages) == set(foretold) == {each.id for each in people}
    for recipient_id, message in messages.items():
        attempts = [attempt for attempt in stage.attempts(run_id) if attempt.message_id == message.id]
        really = happened(message, attempts)
        assert [step.what for step in really] == [step.what for step in foretold[recipient_id]], recipient_id
        check_times(really, foretold[recipient_id], attempts)
    ends = {steps[-1].what for steps in foretold.values()}
    assert {"suppressed: window", "suppressed: frequency_cap", "suppressed: no_address"} <= ends
    assert {"delivered", "expired", "failed", "sent", "held_out"} <= ends


def send_to_before(scene: Scene, people: Sequence[Recipient]) -> None:
    """In another run, so that they have had what their cap allows."""
    run_id = scene.opened(*people)
    for message_id in scene.ids(run_id):
        scene.send(message_id)


def rehearsed(stage: Stage, script: Script, drawn_as: str) -> dict[str, list[Step]]:
    rehearser = Rehearser(stage.engine, stage.channels, {"people": stage.people}, HASHER, NO_HOUSE_RULES)
    parameters = stage.registry.parameters("probe", PARAMETERS)
    staged = rehearser.staged(stage.registry["probe"], parameters, drawn_as=drawn_as)
    return by_recipient(staged, script)


def by_recipient(staged: Staged, script: Script) -> dict[str, list[Step]]:
    steps: dict[str, list[Step]] = {}
    for decided in Rehearsal(staged.plan, staged.run, staged.cast, script).decisions():
        if step := told(decided):
            steps.setdefault(decided.role.recipient_id, []).append(step)
    return steps


def told(decided: Decided) -> Step | None:
    match decided.step:
        case Send(channel=channel):
            assert decided.attempt is not None
            return Step(outcome(channel, decided.attempt.state, decided.attempt.failure), decided.at)
        case Done(state=state, reason=reason):
            return Step(f"{state}: {reason}" if reason else state, decided.at)
        case Wait():
            return None


def happened(message: Message, attempts: Sequence[Attempt]) -> list[Step]:
    """From the rows alone."""
    tries = [Step(outcome(each.channel, each.state, each.failure), each.claimed_at) for each in attempts]
    assert message.ended_at is not None
    end = f"{message.state}: {message.state_reason}" if message.state_reason else message.state
    return [*tries, Step(end, message.ended_at)]


def outcome(channel: str, state: str, failure: str | None) -> str:
    return f"{channel}: {'taken' if state in HANDED_OVER else failure or state}"


def check_times(really: Sequence[Step], foretold: Sequence[Step], attempts: Sequence[Attempt]) -> None:
    """Nothing comes sooner than the script and the rules allow, nor so late that it would have been another decision.

    The real run takes time for what is instantaneous in a rehearsal, so each step is measured from the outcome of the
    one before; the message has the same id in both, and with it the same jitter.
    """
    # An answer may be faster than the record of its own attempt, which then stays without a time of its own.
    settled = [each.settled_at or each.claimed_at for each in attempts]
    for before, (earlier, later), (foretold_earlier, foretold_later) in zip(
        settled, pairwise(really), pairwise(foretold), strict=True
    ):
        answered = later.what == "delivered"
        since = earlier.at if answered else before
        assert later.at - since >= foretold_later.at - foretold_earlier.at
        assert not answered or later.at < before + TTL
