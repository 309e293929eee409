"""A run in virtual time: the same decision over a whole audience, with answers that are told or assumed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Protocol

from domain.consequences import answered, claimed, decided, settled, with_attempt
from domain.ladder import AttemptFacts, Done, MessageFacts, RunFacts, Send, Step, Wait, next_step, unfinished_state
from domain.persons import PersonFacts, RecentSend
from domain.plan import Plan
from domain.states import PUT_OFF_BY_A_PERSON, AttemptState, Awaited, FailureKind

SOONEST = timedelta(microseconds=1)
COUNTS_FOR_CAPS = frozenset({AttemptState.SENT, AttemptState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Role:
    """One recipient, as they stand when the run starts."""

    recipient_id: str
    message: MessageFacts
    person: PersonFacts = field(default_factory=PersonFacts)
    person_key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of one try."""

    state: AttemptState = AttemptState.SENT
    """sent, failed or unknown."""
    failure: FailureKind | None = None
    retry_after: float | None = None
    """Seconds that a busy provider asks for."""
    answered_after: timedelta | None = None
    """When device or person answers, after the hand-over; None: silence."""
    answered_by: Awaited = Awaited.ACKNOWLEDGEMENT


class Answers(Protocol):
    def to(self, role: Role, attempt: AttemptFacts, tries: int) -> Answer:
        """To this try, the how manieth by its channel: the same in whatever order they are asked for."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision, when it was made, and what came of it."""

    at: datetime
    role: Role
    step: Step
    attempt: AttemptFacts | None = None
    """Of a `Send`: with its outcome."""
    late: bool = False
    """An answer that came after the message had ended, and changed its end."""


class Rehearsal:
    """Played once. What is known of the canary stands here when it is over."""

    def __init__(
        self,
        plan: Plan,
        run: RunFacts,
        cast: Sequence[Role],
        answers: Answers,
        per_second: Mapping[str, float | None] | None = None,
        *,
        opens_at: datetime | None = None,
        canary: int | None = None,
    ) -> None:
        """`cast` in the order of positions; `per_second` by channel, None: at once; `canary`: so many go first."""
        self._plan = plan
        self._run = replace(run, released_up_to=canary)
        self._answers = answers
        self._opens_at = opens_at or run.started_at
        self._canary = canary
        self._canary_waiting = {role.message.position for role in cast if role.message.position <= (canary or 0)}
        self._canary_tried = False
        self._pace = _Pace(per_second or {})
        self._people = _People(cast, plan)
        self._actors = [_Actor(role, role.message) for role in cast]
        self._queue: list[tuple[datetime, int, _Actor | None, bool]] = []
        self._ticket = 0
        self.canary_settled_at: datetime | None = None
        self.released_at: datetime | None = None

    @property
    def canary_is_watched(self) -> bool:
        """All of it were tried, and the others wait still."""
        return self.canary_settled_at is not None and self.released_at is None

    def decisions(self) -> Iterator[Decided]:
        """All of them in the order of time, to the end of the last message."""
        for actor in self._actors:
            self._look_at(actor, self._opens_at)
        while self._queue:
            at, ticket, whose, is_answer = heappop(self._queue)
            if whose is None:
                self._release(at)
            elif is_answer:
                yield from self._take_answer(whose, at)
            elif whose.ticket == ticket:
                yield from self._look(whose, at)

    def _look(self, actor: "_Actor", now: datetime) -> Iterator[Decided]:
        while not actor.message.ended:
            person = self._people.facts_of(actor.role, actor.message)
            step = next_step(actor.message, self._plan, self._run, person, now)
            if isinstance(step, Send):
                slot = self._pace.slot(step.channel, now, reserved=actor.reserved)
                if slot > now:
                    actor.reserved = step.channel
                    self._look_at(actor, slot)
                    return
                actor.reserved = None
                yield self._send(actor, step, now)
                continue
            actor.message = decided(actor.message, step)
            actor.reserved = None
            yield Decided(now, actor.role, step)
            if isinstance(step, Wait):
                if step.reason in PUT_OFF_BY_A_PERSON:
                    self._note_canary(actor, now, tried=False)
                if step.until is not None:
                    self._look_at(actor, max(step.until, now + SOONEST))
                return
            self._note_canary(actor, now, tried=True)

    def _send(self, actor: "_Actor", step: Send, now: datetime) -> Decided:
        sending = claimed(actor.message, step, now)
        tries = sum(attempt.channel == step.channel for attempt in sending.attempts)
        answer = self._answers.to(actor.role, sending.attempts[-1], tries)
        attempt = settled(
            sending,
            len(sending.attempts),
            answer.state,
            answer.failure,
            plan=self._plan,
            run=self._run,
            now=now,
            retry_after=answer.retry_after,
        )
        after = with_attempt(sending, attempt)
        actor.message = replace(after, state=unfinished_state(after.attempts))
        self._people.note(actor.role, attempt)
        if answer.state is AttemptState.SENT:
            self._note_canary(actor, now, tried=True)
        counts = answer.answered_by is Awaited.ACKNOWLEDGEMENT or answer.answered_by in self._plan.awaits
        if answer.answered_after is not None and counts:
            self._push(now + answer.answered_after, actor, is_answer=True)
        return Decided(now, actor.role, step, attempt)

    def _take_answer(self, actor: "_Actor", now: datetime) -> Iterator[Decided]:
        before, actor.message = actor.message, answered(actor.message)
        if not before.ended:
            yield from self._look(actor, now)
        elif actor.message.state is not before.state:
            yield Decided(now, actor.role, Done(actor.message.state), late=True)

    def _note_canary(self, actor: "_Actor", now: datetime, *, tried: bool) -> None:
        """The others go when all of the canary were tried and watched, but for whom their own rules put off."""
        if self._canary is None or actor.message.position > self._canary or self.canary_settled_at is not None:
            return
        self._canary_waiting.discard(actor.message.position)
        self._canary_tried |= tried
        if self._canary_tried and not self._canary_waiting:
            self.canary_settled_at = now
            self._push(now + timedelta(seconds=self._plan.launch.canary_watch_seconds), None)

    def _release(self, now: datetime) -> None:
        self.released_at = now
        self._run = replace(self._run, released_up_to=None)
        for actor in self._actors:
            if actor.message.position > (self._canary or 0) and not actor.message.ended:
                self._look_at(actor, now)

    def _look_at(self, actor: "_Actor", at: datetime) -> None:
        """In place of the look that was planned, if there is one."""
        actor.ticket = self._push(at, actor)

    def _push(self, at: datetime, actor: "_Actor | None", *, is_answer: bool = False) -> int:
        self._ticket += 1
        heappush(self._queue, (at, self._ticket, actor, is_answer))
        return self._ticket


@dataclass(slots=True, eq=False)
class _Actor:
    role: Role
    message: MessageFacts
    ticket: int = 0
    """Of the look that is planned."""
    reserved: str | None = None
    """The channel on which it has a slot when it is looked at next."""


class _Pace:
    """Slots on each channel, one after the other at its rate."""

    def __init__(self, per_second: Mapping[str, float | None]) -> None:
        self._apart = {name: timedelta(seconds=1 / rate) for name, rate in per_second.items() if rate}
        self._free_at: dict[str, datetime] = {}

    def slot(self, channel: str, now: datetime, reserved: str | None) -> datetime:
        apart = self._apart.get(channel)
        if apart is None or reserved == channel:
            return now
        slot = max(now, self._free_at.get(channel, now))
        self._free_at[channel] = slot + apart
        return slot


class _People:
    """What one message's sending changes for others: a person's caps, an address that is dead."""

    def __init__(self, cast: Sequence[Role], plan: Plan) -> None:
        keys = Counter(role.person_key for role in cast if role.person_key) if plan.caps else Counter[str]()
        self._sends: dict[str, dict[str, RecentSend]] = {key: {} for key, count in keys.items() if count > 1}
        self._dead: dict[str, set[str]] = {}
        self._priority = plan.priority

    def facts_of(self, role: Role, message: MessageFacts) -> PersonFacts:
        person = role.person
        if not (self._sends or self._dead):
            return person
        others = self._sends.get(role.person_key or "", {})
        if others:
            since = [send for recipient_id, send in others.items() if recipient_id != role.recipient_id]
            person = replace(person, recent_sends=tuple(sorted([*person.recent_sends, *since])))
        dead = {
            channel: frozenset(self._dead[channel].intersection(addresses))
            for channel, addresses in message.addresses.items()
            if channel in self._dead
        }
        if any(dead.values()):
            known = {channel: person.rejected.get(channel, frozenset()) for channel in {*dead, *person.rejected}}
            person = replace(person, rejected={name: known[name] | dead.get(name, frozenset()) for name in known})
        return person

    def note(self, role: Role, attempt: AttemptFacts) -> None:
        if attempt.failure is FailureKind.ADDRESS_REJECTED:
            self._dead.setdefault(attempt.channel, set()).add(attempt.address)
        if attempt.state in COUNTS_FOR_CAPS and (sends := self._sends.get(role.person_key or "")) is not None:
            sends.setdefault(role.recipient_id, RecentSend(attempt.claimed_at, self._priority))
