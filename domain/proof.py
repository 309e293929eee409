"""Whether a message's state is what its attempts and facts make of it: computed anew, so that it can disagree."""

from dataclasses import replace
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.ladder import MessageFacts, ending, unfinished_state
from domain.states import AttemptState, MessageState, may_leave_its_end

_NEVER_HANDED_OVER = frozenset({AttemptState.FAILED, AttemptState.RELEASED})
_WITHOUT_HAND_OVER = frozenset({MessageState.WITHDRAWN, MessageState.SUPPRESSED})


class Difference(BaseModel):
    model_config = ConfigDict(frozen=True)

    message_id: UUID
    state: MessageState
    expected: MessageState
    why: str


class ReportDifference(BaseModel):
    """A try on which the ledger and the channel's own report contradict each other."""

    model_config = ConfigDict(frozen=True)

    channel: str
    message_id: UUID | None
    """null: no attempt of any run has this id."""
    attempt: int | None
    """The number of the try."""
    attempt_id: str
    """As it travelled."""
    why: str


def difference(message: MessageFacts) -> Difference | None:
    """None: the state is right."""
    if message.held_out and message.attempts:
        expected, why = MessageState.HELD_OUT, "it was to be held out, and was tried all the same"
        return Difference(message_id=message.id, state=message.state, expected=expected, why=why)
    if not message.ended:
        expected, why = _expected_unfinished(message)
    elif _decided_from_outside(message):
        return None
    else:
        expected, why = _expected_end(message), "this is what its attempts and facts end in"
    if expected is message.state:
        return None
    return Difference(message_id=message.id, state=message.state, expected=expected, why=why)


def _expected_end(message: MessageFacts) -> MessageState:
    """An answer that came to a refused try changes nothing (design, section 3)."""
    expected = ending(message).state
    may_deliver = message.state is MessageState.DELIVERED or may_leave_its_end(message.state, MessageState.DELIVERED)
    if expected is MessageState.DELIVERED and not may_deliver:
        return ending(replace(message, answered=False)).state
    return expected


def _expected_unfinished(message: MessageFacts) -> tuple[MessageState, str]:
    if message.answered:
        return MessageState.DELIVERED, "an answer has come, and it has not ended"
    return unfinished_state(message.attempts), "this is where its attempts leave it"


def _decided_from_outside(message: MessageFacts) -> bool:
    """Its attempts cannot tell why it ended; only that it may have."""
    if message.state is MessageState.HELD_OUT:
        return message.held_out
    return message.state in _WITHOUT_HAND_OVER and _never_handed_over(message)


def _never_handed_over(message: MessageFacts) -> bool:
    return all(attempt.state in _NEVER_HANDED_OVER for attempt in message.attempts)
