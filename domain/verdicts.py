"""What is known of a try whose outcome nobody knows, in plain sentences, and what an operator may say of it."""

from dataclasses import dataclass
from enum import StrEnum

from domain.reports import InReport


class Verdict(StrEnum):
    WAS_SENT = "was_sent"
    """It has arrived, or counts as if it had: nothing more is sent."""
    RETRY = "retry"
    """It is sent again, as if that try had never been; a double is possible."""


@dataclass(frozen=True, slots=True)
class TryEvidence:
    channel: str
    repeated_as: str | None
    """What makes a repeated try one with the first; None: nothing does."""
    in_report: InReport
    answers: int
    """Acknowledgements of this very try."""


def sentences(evidence: TryEvidence) -> tuple[str, ...]:
    return (_of_repeating(evidence), _OF_REPORT[evidence.in_report].format(evidence.channel), _of_answers(evidence))


def _of_repeating(evidence: TryEvidence) -> str:
    if evidence.repeated_as is None:
        return f"{evidence.channel} shows a repeated try as a second message"
    return f"{evidence.channel} makes a repeated try one with the first, by the same {evidence.repeated_as}"


_OF_REPORT = {
    InReport.NAMED: "the report of {} names it: it was taken",
    InReport.NOT_NAMED: "the report of {} does not name it",
    InReport.CANNOT_SAY: "the report of {} gives its own ids alone, and this try's was never learned",
    InReport.OLDER: "the report of {} came in before this try was made",
    InReport.NO_REPORT: "no report of {} was imported",
}


def _of_answers(evidence: TryEvidence) -> str:
    return f"a device acknowledged it {evidence.answers} times" if evidence.answers else "no device acknowledged it"
