"""Why an address, or a person, gets nothing any more, and who says so."""

import re
from enum import StrEnum

from domain.problems import ProblemError


class Reason(StrEnum):
    """Besides these a provider's own code may stand there, such as `UNREGISTERED`."""

    UNSUBSCRIBED = "unsubscribed"
    OPTED_OUT = "opted_out"
    COMPLAINT = "complaint"
    OPERATOR = "operator"
    IMPORTED = "imported"


class Source(StrEnum):
    PROVIDER = "provider"
    PERSON = "person"
    OPERATOR = "operator"
    IMPORT = "import"


class BadReasonError(ProblemError):
    def __init__(self) -> None:
        super().__init__(
            f"reason: use one of {', '.join(Reason)}, or a provider's code (letters, digits, dots, dashes, 64 at most)"
        )


_REASON = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


def checked_reason(reason: str) -> str:
    """Raises BadReasonError."""
    if not _REASON.fullmatch(reason):
        raise BadReasonError
    return reason
