"""How a message ends whose person is erased while it is under way."""

from dataclasses import replace

from domain.ladder import Done, MessageFacts, ending
from domain.states import HANDED_OVER, AttemptState, MessageState

ERASED = "erased"

_LEFT_OUR_HANDS = HANDED_OVER | {AttemptState.UNKNOWN}


def end_of_erased(message: MessageFacts) -> Done:
    """Withdrawn; but what has left our hands, or may have, stays what it is: the ledger must still balance."""
    if message.answered or any(attempt.state in _LEFT_OUR_HANDS for attempt in message.attempts):
        return replace(ending(replace(message, ended=True)), reason=ERASED)
    return Done(MessageState.WITHDRAWN, ERASED)
