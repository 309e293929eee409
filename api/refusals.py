"""All that can be refused, each with its status and its word: `/docs` lists them for the people who meet them."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from activities.retrying import ParametersUnfitError
from activities.starting import BadKeyError, KeyUsedOtherwiseError
from api.bounds import SECURITY_HEADERS
from api.parts import TemporalUnavailableError
from campaigns.registry import UnknownCampaignError
from db.erasure import AudienceBeingTakenError
from db.suppressions import NotSuppressedError
from domain.addresses import BadAddressError
from domain.consents import BadConsentError
from domain.problems import (
    NoSuchChannelError,
    NoSuchMessageError,
    NoSuchRunError,
    NothingFailedError,
    NothingLeftToTryError,
    NotUnknownError,
    ProblemError,
    RunIsBusyError,
    SecondKeyNeededError,
    WrongStateError,
)
from domain.reports import BadReportError
from domain.suppression import BadReasonError


class NoKeyError(ProblemError):
    def __init__(self) -> None:
        super().__init__("send `Authorization: Bearer drum_…` with a key that has not expired: `drumbeat key create`")


class MissingScopeError(ProblemError):
    def __init__(self, scope: str) -> None:
        super().__init__(f"this key has not the scope '{scope}': make one that has, with `drumbeat key create`")


class ForeignPageError(ProblemError):
    def __init__(self) -> None:
        super().__init__("another site's page may not ask this: send an API key, or ask from a page of this address")


class ForgedTokenError(ProblemError):
    def __init__(self) -> None:
        super().__init__("`token` is not this attempt's: send the `ack_token` of the push as it came")


class NoSuchAttemptError(ProblemError):
    def __init__(self) -> None:
        super().__init__("there is no attempt with this id: send the `message_id` of the push as it came")


class TooManyRequestsError(ProblemError):
    def __init__(self) -> None:
        super().__init__("too many requests from this address within a minute: wait, then try again")


@dataclass(frozen=True, slots=True)
class Kind:
    status: HTTPStatus
    word: str
    meaning: str = ""
    """As `/docs` explains it, where the problem's `type` leads."""
    headers: Mapping[str, str] | None = None


_RETRY_SOON = {"Retry-After": "2"}
_ASK_FOR_KEY = {"WWW-Authenticate": "Bearer"}
KINDS: Mapping[type[Exception], Kind] = {
    NoSuchRunError: Kind(
        HTTPStatus.NOT_FOUND, "no-such-run", "There is none, or no worker has begun it yet, or the name fits several."
    ),
    NoSuchMessageError: Kind(HTTPStatus.NOT_FOUND, "no-such-message", "This run has no such message."),
    NoSuchAttemptError: Kind(HTTPStatus.NOT_FOUND, "no-such-attempt", "Never made, or erased since."),
    UnknownCampaignError: Kind(HTTPStatus.NOT_FOUND, "unknown-campaign", "GET /api/v1/campaigns lists them."),
    NotSuppressedError: Kind(HTTPStatus.NOT_FOUND, "not-suppressed", "It is not on the suppression list."),
    BadAddressError: Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-address", "`detail` names the field and the remedy."),
    BadConsentError: Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-consent", "`detail` names the field and the remedy."),
    AudienceBeingTakenError: Kind(
        HTTPStatus.CONFLICT, "audience-being-taken", "A person in it cannot be erased until it is taken."
    ),
    BadReasonError: Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-reason", "A word of ours, or a provider's code."),
    BadReportError: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "bad-report",
        "CSV with `message_id`, `provider_id` or both; nothing was stored.",
    ),
    NoSuchChannelError: Kind(HTTPStatus.NOT_FOUND, "no-such-channel", "The run's ladder has no such channel."),
    NothingFailedError: Kind(HTTPStatus.CONFLICT, "nothing-failed", "There is nobody to send to again."),
    ParametersUnfitError: Kind(
        HTTPStatus.CONFLICT, "parameters-unfit", "The campaign has changed since: it takes other parameters now."
    ),
    NotUnknownError: Kind(HTTPStatus.CONFLICT, "not-unknown", "A verdict is given on a message that ended as unknown."),
    NothingLeftToTryError: Kind(
        HTTPStatus.CONFLICT, "nothing-left-to-try", "Sent again, the message would end at once as it has."
    ),
    WrongStateError: Kind(HTTPStatus.CONFLICT, "wrong-state", "The run's `state` does not allow this."),
    SecondKeyNeededError: Kind(
        HTTPStatus.CONFLICT, "second-key-needed", "Whoever starts a large run cannot approve it as well."
    ),
    KeyUsedOtherwiseError: Kind(
        HTTPStatus.CONFLICT, "idempotency-key-used", "Another run was started with this Idempotency-Key."
    ),
    BadKeyError: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "bad-idempotency-key", "Letters, digits, dots, dashes and colons, 100 at most."
    ),
    NoKeyError: Kind(
        HTTPStatus.UNAUTHORIZED, "no-valid-key", "None was sent, or it is wrong, or it has expired.", _ASK_FOR_KEY
    ),
    ForeignPageError: Kind(HTTPStatus.FORBIDDEN, "foreign-page", "The request comes from another site's page."),
    MissingScopeError: Kind(HTTPStatus.FORBIDDEN, "missing-scope", "The key is right, and may not do this."),
    ForgedTokenError: Kind(HTTPStatus.FORBIDDEN, "forged-token", "The token was not made for this attempt."),
    TooManyRequestsError: Kind(
        HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests", "Of one address within a minute.", {"Retry-After": "60"}
    ),
    RunIsBusyError: Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, "run-is-busy", "Its lock was not free in time; try again.", _RETRY_SOON
    ),
    TemporalUnavailableError: Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "temporal-unavailable",
        "Only the start of a run needs Temporal at once; all else goes on without it.",
        {"Retry-After": "5"},
    ),
}
NOT_READY = Kind(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", "PostgreSQL or Temporal cannot be reached.", _RETRY_SOON)
NOT_BALANCED = Kind(HTTPStatus.CONFLICT, "not-balanced", "The ledger of this run does not prove; see `differences`.")
MALFORMED = Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "malformed", "`errors` names each field and its remedy.")
TOO_LARGE = Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", "The body is larger than 64 KiB.")
DATABASE_UNAVAILABLE = Kind(
    HTTPStatus.SERVICE_UNAVAILABLE, "database-unavailable", "Nothing was stored; try again.", _RETRY_SOON
)
REFUSED = Kind(HTTPStatus.BAD_REQUEST, "refused", "`detail` says why.")
UNEXPECTED = Kind(
    HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected", "A mistake of ours; the log has it.", SECURITY_HEADERS
)


def all_kinds() -> list[Kind]:
    ours = (NOT_READY, NOT_BALANCED, MALFORMED, TOO_LARGE, DATABASE_UNAVAILABLE, REFUSED, UNEXPECTED)
    return sorted((*KINDS.values(), *ours), key=lambda kind: (kind.status, kind.word))
