"""Whether a message's state is what its attempts and facts make of it: computed anew, so that it can disagree."""

from dataclasses import replace
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.ladder import MessageFacts, ending, unfinished_state
from domain.states import AttemptState, MessageState, may_leave_its_end

_NEVER_HANDED_OVER = frozenset({AttemptState.FAILED, AttemptState.RELEASED})
_DECIDED_FROM_OUTSIDE = frozenset({MessageState.WITHDRAWN, MessageState.SUPPRESSED, MessageState.HELD_OUT})


class Difference(BaseModel):
    model_config = ConfigDict(frozen=True)

    message_id: UUID
    state: MessageState
    expected: MessageState
    why: str


def difference(message: MessageFacts) -> Difference | None:
    """None: the state is right."""
    if not message.ended:
        expected, why = _expected_unfinished(message)
    elif message.state in _DECIDED_FROM_OUTSIDE and _never_handed_over(message):
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


def _never_handed_over(message: MessageFacts) -> bool:
    return all(attempt.state in _NEVER_HANDED_OVER for attempt in message.attempts)
