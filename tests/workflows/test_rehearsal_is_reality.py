"""A rehearsal against a real run of the same audience, whose providers, devices and people follow one script."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

from activities.rehearsing import Rehearser, Staged
from campaigns.registry import Registry
from db.engine import transaction
from db.tables import Attempt, Deferral, Message, Suppression
from domain.holdout import is_held_out
from domain.house_rules import NO_HOUSE_RULES
from domain.ids import run_workflow_id
from domain.ladder import Done, Send, Wait
from domain.message import Recipient
from domain.persons import PERSON
from domain.plan import Plan
from domain.rehearsal import Answer, Decided, Rehearsal
from domain.rules import USUAL_QUIET_HOURS, Cap, SendWindow
from domain.states import HANDED_OVER, AttemptState, Awaited, FailureKind
from domain.tally import PUT_OFF
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

Acts = Mapping[str, Sequence[Answer]]
"""By channel."""

ROLES: Mapping[str, Acts] = {
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
    settled: datetime
    """When its outcome was recorded: what follows is counted from here."""

    @property
    def is_deferral(self) -> bool:
        """Its time follows from the step before, and the time of the step after it too."""
        return self.what.startswith("put off")


def fixed_zone(local_hour: int) -> str:
    """A zone without summer time where it is about that hour now."""
    ahead = (local_hour - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+}"


def at_noon_and_at_midnight(parameters: ProbeParameters) -> Plan:
    """Open where it is noon now, and shut for hours where it is midnight."""
    return (
        a_probe()
        .plan(parameters)
        .model_copy(
            update={
                "window": SendWindow(opens=6, closes=18),
                "quiet_hours": USUAL_QUIET_HOURS,
                "zone": fixed_zone(12),
                "caps": (Cap(count=1, days=7),),
            }
        )
    )


@dataclass
class Audience:
    people: list[Recipient] = field(default_factory=list)
    lines: dict[tuple[str, str], Sequence[Answer]] = field(default_factory=dict)

    def add(self, number: int, acts: Acts | None = None, **changes: Any) -> list[Recipient]:  # noqa: ANN401 - its fields
        added = [replace(a_person(len(self.people) + each), **changes) for each in range(number)]
        self.people += added
        self.lines |= {(each.id, channel): told for each in added for channel, told in (acts or {}).items()}
        return added


def some_of_each() -> tuple[Audience, list[Recipient], Recipient]:
    """Everybody; those of them who have had what their cap allows; and one who wants nothing more."""
    audience = Audience()
    for acts in ROLES.values():
        audience.add(OF_EACH, acts=acts)
    audience.add(OF_EACH, acknowledges=False, addresses={"fcm": ("phone",)})
    audience.add(OF_EACH, zone=fixed_zone(0))
    audience.add(1, zone=fixed_zone(0), person_key=None)
    audience.add(1, zone_candidates=(fixed_zone(12), fixed_zone(0)))
    audience.add(1, addresses={})
    audience.add(1, addresses={"fcm": ("dead", "alive")}, acts={"fcm": [DEAD, ACKNOWLEDGED]})
    capped = audience.add(OF_EACH)
    (left,) = audience.add(1)
    return audience, capped, left


def test_every_recipient_gets_the_decisions_that_the_rehearsal_has_foretold_and_none_too_early(stage: Stage) -> None:
    audience, capped, left = some_of_each()
    script = Script(audience.lines)
    stage.people.recipients = audience.people
    stage.registry = Registry({"probe": replace(a_probe(), plan=at_noon_and_at_midnight)})
    key = a_fair_key(audience)
    send_to_before(Scene(stage.engine), capped)
    suppress(stage, left)
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
    assert set(messages) == set(foretold) == {each.id for each in audience.people}
    started_at = stage.run(run_id).started_at
    assert started_at is not None
    for recipient_id, message in messages.items():
        really = happened(stage, message, started_at)
        assert [step.what for step in really] == [step.what for step in foretold[recipient_id]], recipient_id
        check_times(really, foretold[recipient_id])
    assert {step.what for steps in foretold.values() for step in steps} == EVERYTHING


EVERYTHING = {
    "start",
    *(f"{channel}: {became}" for channel in ("fcm", "mqtt") for became in ("taken", "message_rejected")),
    *("fcm: address_rejected", "fcm: busy", "fcm: unknown", "mqtt: unreachable"),
    *(f"put off: {reason}" for reason in ("provider_busy", "window", "quiet_hours", "frequency_cap")),
    *(f"suppressed: {reason}" for reason in ("window", "quiet_hours", "frequency_cap")),
    *(f"suppressed: {reason}" for reason in ("no_address", "no_permitted_hour", "unsubscribed")),
    *("delivered", "expired", "failed", "sent", "held_out"),
}
"""What this audience must have been through, or the comparison says less than it seems to."""


def send_to_before(scene: Scene, people: Sequence[Recipient]) -> None:
    """In another run, so that they have had what their cap allows."""
    run_id = scene.opened(*people)
    for message_id in scene.ids(run_id):
        scene.send(message_id)


def a_fair_key(audience: Audience) -> str:
    """Of a run that holds some people out, and nobody's whole role."""
    while True:
        key = uuid4().hex
        run, percent = run_workflow_id("probe", key), PARAMETERS["holdout_percent"]
        held_out = [is_held_out(run, each.id, percent) for each in audience.people]
        roles = [held_out[first : first + OF_EACH] for first in range(0, OF_EACH * (len(ROLES) + 1), OF_EACH)]
        if any(held_out) and not any(map(all, roles)):
            return key


def suppress(stage: Stage, person: Recipient) -> None:
    assert person.person_key is not None
    of_all = {"channel": PERSON, "address_hash": HASHER(PERSON, person.person_key)}
    with transaction(stage.engine) as session:
        session.add(Suppression(**of_all, reason="unsubscribed", source="person"))


def rehearsed(stage: Stage, script: Script, drawn_as: str) -> dict[str, list[Step]]:
    rehearser = Rehearser(stage.engine, stage.channels, {"people": stage.people}, HASHER, NO_HOUSE_RULES)
    parameters = stage.registry.parameters("probe", PARAMETERS)
    staged = rehearser.staged(stage.registry["probe"], parameters, drawn_as=drawn_as)
    return by_recipient(staged, script)


def by_recipient(staged: Staged, script: Script) -> dict[str, list[Step]]:
    started_at = staged.run.started_at
    steps = {role.recipient_id: [start(started_at)] for role in staged.cast}
    for decided in Rehearsal(staged.plan, staged.run, staged.cast, script).decisions():
        if step := told(decided):
            steps[decided.role.recipient_id].append(step)
    return steps


def start(at: datetime) -> Step:
    return Step("start", at, at)


def told(decided: Decided) -> Step | None:
    match decided.step:
        case Send(channel=channel):
            assert decided.attempt is not None
            said = outcome(channel, decided.attempt.state, decided.attempt.failure)
        case Done(state=state, reason=reason):
            said = end(state, reason)
        case Wait(reason=reason):
            if reason not in PUT_OFF:
                return None
            said = f"put off: {reason}"
    return Step(said, decided.at, decided.at)


def happened(stage: Stage, message: Message, started_at: datetime) -> list[Step]:
    """From the rows alone."""
    tries = [
        # An answer may be faster than the record of its own attempt, which then stays without a time of its own.
        Step(outcome(each.channel, each.state, each.failure), each.claimed_at, each.settled_at or each.claimed_at)
        for each in stage.stored(Attempt, message_id=message.id)
    ]
    put_off = [
        Step(f"put off: {each.reason}", each.at, each.at) for each in stage.stored(Deferral, message_id=message.id)
    ]
    assert message.ended_at is not None
    last = Step(end(message.state, message.state_reason), message.ended_at, message.ended_at)
    return [start(started_at), *sorted([*tries, *put_off], key=lambda step: step.at), last]


def outcome(channel: str, state: str, failure: str | None) -> str:
    return f"{channel}: {'taken' if state in HANDED_OVER else failure or state}"


def end(state: str, reason: str | None) -> str:
    return f"{state}: {reason}" if reason else f"{state}"


def check_times(really: Sequence[Step], foretold: Sequence[Step]) -> None:
    """Nothing comes sooner than the script and the rules allow, nor so late that it would have been another decision.

    The real run takes time for what is instantaneous in a rehearsal, so each step is measured from the outcome of the
    one before; the message has the same id in both, and with it the same jitter.
    """
    steps, foretold_steps = ([step for step in each if not step.is_deferral] for each in (really, foretold))
    for (before, after), (then, next_) in zip(pairwise(steps), pairwise(foretold_steps), strict=True):
        answered = after.what == "delivered"
        since = before.at if answered else before.settled
        assert after.at - since >= next_.at - then.at
        assert not answered or after.at < before.settled + TTL
