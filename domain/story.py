"""All that was decided for one person, in order, in plain sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.clicks import ClickClass
from domain.masking import mask
from domain.persons import PERSON
from domain.plan import is_zone
from domain.states import AttemptState, MessageState
from domain.story_words import (
    duration_words,
    end_words,
    held_words,
    refused_words,
    suppressed_words,
    whose_word,
)


@dataclass(frozen=True, slots=True)
class Told:
    at: datetime
    sentence: str
    run: str | None = None
    """campaign-slot, where it belongs to one."""
    message_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class TryLife:
    """One attempt."""

    channel: str
    address: str
    state: str
    claimed_at: datetime
    ttl_seconds: int
    settled_at: datetime | None = None
    failure: str | None = None
    error_code: str | None = None
    verdict: str | None = None
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deferral:
    at: datetime
    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement, or a hit on the link."""

    at: datetime
    click_class: str | None = None
    """None: an acknowledgement."""
    late: bool = False
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Intervention:
    """What somebody did to the run, or to this message, while it was under way."""

    at: datetime
    actor: str
    action: str
    sentence: str


@dataclass(frozen=True, slots=True)
class MessageLife:
    id: UUID
    campaign: str
    run: str
    recipient_id: str
    targeted_at: datetime
    state: str
    state_reason: str | None = None
    ended_at: datetime | None = None
    hold_reason: str | None = None
    due_at: datetime | None = None
    held_out: bool = False
    zones: tuple[str, ...] = ()
    """Where they are, or may be."""
    tries: tuple[TryLife, ...] = ()
    deferrals: tuple[Deferral, ...] = ()
    answers: tuple[Answer, ...] = ()
    interventions: tuple[Intervention, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of the suppression list."""

    at: datetime
    channel: str
    address: str
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class Consented:
    at: datetime
    purpose: str
    channel: str
    granted: bool


@dataclass(frozen=True, slots=True)
class Absent:
    """The newest run of a campaign, in whose audience they are not."""

    at: datetime
    campaign: str
    run: str


@dataclass(frozen=True, slots=True)
class PersonLife:
    person: str
    messages: Sequence[MessageLife] = ()
    listed: Sequence[Listed] = ()
    consents: Sequence[Consented] = ()
    absent: Sequence[Absent] = ()
    erased_at: Sequence[datetime] = field(default_factory=tuple)


def tell(life: PersonLife, now: datetime) -> list[Told]:
    """The oldest first; what still waits stands at `now`."""
    since = {entry.reason: entry.at for entry in life.listed}
    told = [each for message in life.messages for each in _of_message(message, life.person, since, now)]
    told += [Told(entry.at, _listed(entry)) for entry in life.listed]
    told += [Told(consent.at, _consented(consent)) for consent in life.consents]
    told += [Told(each.at, _absent(each), each.run) for each in life.absent]
    told += [
        Told(at, "They were erased: what was decided for them before is not known any more.") for at in life.erased_at
    ]
    return sorted(told, key=lambda each: each.at)


def _of_message(message: MessageLife, person: str, since: Mapping[str, datetime], now: datetime) -> Iterator[Told]:
    """In the order of a life, which the sorting by time keeps where times are equal."""
    lines = [
        (message.targeted_at, _targeted(message, person)),
        *((each.at, _put_off(each, message)) for each in message.deferrals),
        *_tries(message, now),
        *((each.at, _answered(each)) for each in message.answers),
        *((each.at, f"{each.actor} {each.sentence}.") for each in message.interventions),
    ]
    if message.ended_at:
        lines.append((message.ended_at, _ended(message, since)))
    else:
        lines.append((now, _waits(message)))
    return (Told(at, sentence, message.run, message.id) for at, sentence in lines)


def _targeted(message: MessageLife, person: str) -> str:
    named = f" as {message.recipient_id}" if message.recipient_id != person else ""
    lot = "; drawn by lot to be held out" if message.held_out else ""
    return f"Targeted by {message.campaign}{named}, run {message.run}{lot}."


def _put_off(deferral: Deferral, message: MessageLife) -> str:
    until = f" until {_local(deferral.until, message.zones)}" if deferral.until else ""
    return f"Put off{until}: {held_words(deferral.reason)}."


def _tries(message: MessageLife, now: datetime) -> Iterator[tuple[datetime, str]]:
    before: TryLife | None = None
    following = [*(later.claimed_at for _, later in pairwise(message.tries)), message.ended_at or now]
    for each, ended in zip(message.tries, following, strict=False):
        fallback = before is not None and before.channel != each.channel
        yield each.claimed_at if _left(each) else each.settled_at or each.claimed_at, _tried(each, fallback=fallback)
        if each.state == AttemptState.EXPIRED:
            yield ended, f"No answer within {duration_words(each.ttl_seconds)}."
        before = each


def _left(each: TryLife) -> bool:
    return each.state in {AttemptState.SENDING, AttemptState.SENT, AttemptState.DELIVERED, AttemptState.EXPIRED}


def _tried(each: TryLife, *, fallback: bool) -> str:
    address = mask(each.address) if each.address else "an address that is erased"
    went = f"Went on to {each.channel}: " if fallback else ""
    code = f" ({each.error_code})" if each.error_code else ""
    match each.state:
        case AttemptState.SENDING:
            said = f"being handed over by {each.channel} to {address}."
        case AttemptState.UNKNOWN:
            judged = {"was_sent": " An operator judged that it was.", "retry": " An operator had it tried again."}
            said = f"given to {each.channel} for {address}; whether it was taken is not known{code}."
            said += judged.get(each.verdict or "", "")
        case AttemptState.RELEASED:
            said = f"not handed over by {each.channel}, since the try had taken too long; tried again."
        case AttemptState.FAILED:
            again = f"; not again before {_moment(each.retry_at)}" if each.retry_at else ""
            said = f"not taken: {refused_words(each.failure, each.channel, address, each.error_code)}{again}."
        case _:
            judged_sent = " (as an operator judged)" if each.verdict == "was_sent" else ""
            said = f"handed over by {each.channel} to {address}{judged_sent}."
    return went + said if went else said[0].upper() + said[1:]


def _answered(answer: Answer) -> str:
    if answer.click_class is None:
        after = f", {duration_words(answer.latency_ms / 1000)} after the hand-over" if answer.latency_ms else ""
        return f"Acknowledged by the device{after}{'; late, it had ended before' if answer.late else ''}."
    if answer.click_class == ClickClass.PERSON:
        return "They opened the link."
    return f"The link was opened, but not by a person ({answer.click_class.replace('_', ' ')})."


def _ended(message: MessageLife, since: Mapping[str, datetime]) -> str:
    if message.state == MessageState.WITHDRAWN:
        return f"Withdrawn: {_withdrawn(message)}."
    if message.state == MessageState.SUPPRESSED:
        on = since.get(message.state_reason or "")
        when = f" (on the list since {on:%Y-%m-%d})" if on and on <= (message.ended_at or on) else ""
        return f"Suppressed: {suppressed_words(message.state_reason)}{when}."
    return end_words(message.state)


def _withdrawn(message: MessageLife) -> str:
    cancelled = [each for each in message.interventions if each.action == "cancel"]
    if message.state_reason == "run_cancelled":
        return f"the run was cancelled by {cancelled[-1].actor}" if cancelled else "the run was cancelled"
    return suppressed_words(message.state_reason)


def _waits(message: MessageLife) -> str:
    until = f" until {_local(message.due_at, message.zones)}" if message.due_at else ""
    if message.hold_reason:
        return f"It waits now{until}: {held_words(message.hold_reason)}."
    if message.state == MessageState.SENT:
        return f"It was sent, and an answer is awaited{until}."
    return "It is planned; what holds for them is looked at when its turn comes."


def _listed(entry: Listed) -> str:
    whom = "the whole person" if entry.channel == PERSON else f"{entry.channel} {mask(entry.address)}"
    return f"On the suppression list: {whom}, {entry.reason.replace('_', ' ')} ({whose_word(entry.source)})."


def _consented(consent: Consented) -> str:
    where = "on all channels" if consent.channel == "*" else f"on {consent.channel}"
    return f"Consent to {consent.purpose} {'given' if consent.granted else 'withdrawn'} {where}."


def _absent(absent: Absent) -> str:
    newest = f"{absent.run}, the newest run of {absent.campaign}"
    return f"Not in the audience of {newest}: not named by its source, or left out."


def _local(at: datetime, zones: tuple[str, ...]) -> str:
    """By their own wall clock, where that is known."""
    known = [zone for zone in zones if is_zone(zone)]
    if len(known) != 1:
        where = f" (they may be in {', '.join(known)})" if known else ""
        return f"{_moment(at)}{where}"
    if known[0] == "UTC":
        return _moment(at)
    return f"{at.astimezone(ZoneInfo(known[0])):%Y-%m-%d %H:%M} in {known[0]}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
