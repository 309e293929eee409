"""What providers and devices do, told beforehand: to a rehearsal, and to the channels of the real engine."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from channels.interface import (
    AddressRejectedError,
    AddressUnreachableError,
    ChannelError,
    MessageRejectedError,
    NotPermittedError,
    OutcomeUnknownError,
    Outgoing,
    ProviderBusyError,
)
from db.engine import transaction
from db.facts import ClickHit, take_click
from domain.clicks import ClickClass
from domain.ladder import AttemptFacts
from domain.rehearsal import Answer, Role
from domain.states import AttemptState, Awaited, FailureKind
from tests.fakes import Behaviour
from tests.stage import Stage

REFUSALS: Mapping[FailureKind, type[ChannelError]] = {
    FailureKind.NOT_PERMITTED: NotPermittedError,
    FailureKind.ADDRESS_REJECTED: AddressRejectedError,
    FailureKind.UNREACHABLE: AddressUnreachableError,
    FailureKind.MESSAGE_REJECTED: MessageRejectedError,
}


@dataclass(frozen=True)
class Script:
    """By recipient and channel, what becomes of each try, the last for ever; where nothing stands, silence."""

    lines: Mapping[tuple[str, str], Sequence[Answer]] = field(default_factory=dict)

    def to(self, role: Role, attempt: AttemptFacts, tries: int) -> Answer:
        return self.line(role.recipient_id, attempt.channel, tries)

    def line(self, recipient_id: str, channel: str, tries: int) -> Answer:
        told = self.lines.get((recipient_id, channel), [Answer()])
        return told[min(tries, len(told)) - 1]


@dataclass
class Performance:
    """The script on the channels of a stage, from now on. Devices and people answer over the loop it is made in."""

    stage: Stage
    script: Script
    tries: Counter[tuple[str, str]] = field(default_factory=Counter)
    _answers: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        for name, channel in self.stage.channels.items():
            channel.behave = self._behaviour(name)

    def _behaviour(self, channel: str) -> Behaviour:
        def behave(message: Outgoing, _: str) -> None:
            recipient_id = message.body.removeprefix("for ")
            self.tries[recipient_id, channel] += 1  # one message is in one thread at a time
            answer = self.script.line(recipient_id, channel, self.tries[recipient_id, channel])
            _refuse(answer)
            if answer.answered_after is not None:
                self._loop.call_soon_threadsafe(self._promise, message, answer, answer.answered_after)

        return behave

    def _promise(self, message: Outgoing, answer: Answer, after: timedelta) -> None:
        clicks = answer.answered_by is Awaited.CLICK
        reaction = self._click(message) if clicks else self._acknowledge(message)
        task = asyncio.ensure_future(_later(after, reaction))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _acknowledge(self, message: Outgoing) -> None:
        await self.stage.acknowledge(message.message_id)

    async def _click(self, message: Outgoing) -> None:
        await asyncio.to_thread(self._take_click, message)

    def _take_click(self, message: Outgoing) -> None:
        with transaction(self.stage.engine) as session:
            take_click(session, ClickHit(ClickClass.PERSON, signed=True, message_id=message.dedupe_id))


async def _later(after: timedelta, reaction: Coroutine[Any, Any, None]) -> None:
    await asyncio.sleep(after.total_seconds())
    await reaction


def _refuse(answer: Answer) -> None:
    if answer.state is AttemptState.UNKNOWN:
        raise OutcomeUnknownError("cut", "by the script")
    if answer.failure is FailureKind.BUSY:
        raise ProviderBusyError("quota", "by the script", answer.retry_after)
    if answer.failure is not None:
        raise REFUSALS[answer.failure]("refused", "by the script")
