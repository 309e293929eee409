"""Reasons and ends, as they are told to people."""

from collections.abc import Mapping

from domain.states import FailureKind, HoldReason, MessageState
from domain.suppression import Reason, Source

_HELD: Mapping[str, str] = {
    HoldReason.PAUSED: "the run is paused",
    HoldReason.NOT_STARTED: "the run has not started to send",
    HoldReason.NOT_RELEASED: "this part of the run is not released yet",
    HoldReason.PROVIDER_BUSY: "the provider is busy",
    HoldReason.HAND_OVER_LIMIT: "the last try took too long before its hand-over",
    HoldReason.WINDOW: "outside the campaign's hours",
    HoldReason.QUIET_HOURS: "quiet hours",
    HoldReason.CAP: "they have had as many messages as they may (frequency cap)",
}
_SUPPRESSED: Mapping[str, str] = {
    **{reason: f"its time was over; until then it was put off: {words}" for reason, words in _HELD.items()},
    "valid_until": "its time was over",
    "no_address": "there is no address at which they can be reached",
    "no_consent": "they have not agreed to it",
    "no_permitted_hour": "there is no hour that is permitted in all zones where they may be",
    "text_failed": "its text could not be written",
    "erased": "they were erased",
    Reason.UNSUBSCRIBED: "they have unsubscribed",
    Reason.OPTED_OUT: "they have opted out",
    Reason.COMPLAINT: "they have complained",
    Reason.OPERATOR: "an operator has suppressed them",
    Reason.IMPORTED: "they are on an imported suppression list",
}
_REFUSED: Mapping[str, str] = {
    FailureKind.BUSY: "{channel} was busy",
    FailureKind.NOT_PERMITTED: "{channel} refuses our own credentials",
    FailureKind.ADDRESS_REJECTED: "{channel} says that the address {address} is dead",
    FailureKind.UNREACHABLE: "nobody is at {address} on {channel} now",
    FailureKind.MESSAGE_REJECTED: "{channel} refuses the message",
}
_ENDS: Mapping[str, str] = {
    MessageState.DELIVERED: "Ended as delivered.",
    MessageState.SENT: "Ended as sent: no answer is awaited.",
    MessageState.EXPIRED: "Ended as expired: nobody answered in time.",
    MessageState.FAILED: "Ended as failed: no provider took it.",
    MessageState.UNKNOWN: "Ended as unknown: nobody knows whether it arrived.",
    MessageState.HELD_OUT: "Held out by lot: left unsent, so that the others can be compared.",
}
_WORD_OF = {
    Source.PROVIDER: "the provider's word",
    Source.PERSON: "their own word",
    Source.OPERATOR: "an operator's word",
    Source.IMPORT: "from an imported list",
}


def held_words(reason: str) -> str:
    return _HELD.get(reason, reason.replace("_", " "))


def suppressed_words(reason: str | None) -> str:
    """A provider's own code is shown as it is."""
    return _SUPPRESSED.get(reason or "", (reason or "no reason was noted").replace("_", " "))


def refused_words(failure: str | None, channel: str, address: str, code: str | None) -> str:
    words = _REFUSED.get(failure or "", "{channel} did not take it").format(channel=channel, address=address)
    return f"{words} ({code})" if code else words


def end_words(state: str) -> str:
    return _ENDS.get(state, f"Ended as {state.replace('_', ' ')}.")


def whose_word(source: str) -> str:
    return _WORD_OF.get(Source(source), source) if source in {*Source} else source


def duration_words(seconds: float) -> str:
    """Rounded to its largest unit, or two decimals below a minute."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - above it nobody counts tenths
