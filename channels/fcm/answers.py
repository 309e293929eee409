"""What FCM's answers mean for the next step."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from requests import Response

from channels.interface import (
    AddressRejectedError,
    AddressUnreachableError,
    ChannelError,
    MessageRejectedError,
    NotPermittedError,
    OutcomeUnknownError,
    ProviderBusyError,
)

QUOTA_PAUSE_SECONDS = 60.0
"""What FCM asks for after a quota error that names no time."""
_ADDRESS_FIELDS = frozenset({"message.token", "message.fid"})


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Violation(_Answer):
    field: str = ""


class _Detail(_Answer):
    error_code: str = Field("", alias="errorCode")
    field_violations: tuple[_Violation, ...] = Field((), alias="fieldViolations")


class _Refusal(_Answer):
    status: str = ""
    message: str = ""
    details: tuple[_Detail, ...] = ()


class _Body(_Answer):
    error: _Refusal = _Refusal()


def meaning(response: Response, address: str) -> ChannelError | OutcomeUnknownError:  # noqa: PLR0911 - one for each row
    """The error to raise for an answer that is no receipt."""
    refusal = _refusal(response)
    code = next((detail.error_code for detail in refusal.details if detail.error_code), refusal.status)
    code = code or f"HTTP_{response.status_code}"
    said = f"FCM said: {without(address, refusal.message) or response.reason}"
    match code, response.status_code:
        case ("UNREGISTERED", _):
            return AddressRejectedError(code, f"{masked(address)} is no longer registered. {said}")
        case ("SENDER_ID_MISMATCH", _):
            # With a wrong service account this is said of every address: none of them is dead.
            return AddressUnreachableError(code, f"{masked(address)} belongs to another Firebase project. {said}")
        case ("QUOTA_EXCEEDED", _) | (_, HTTPStatus.TOO_MANY_REQUESTS):
            pause = retry_after(response.headers)
            return ProviderBusyError(code, f"more than FCM takes now. {said}", pause or QUOTA_PAUSE_SECONDS)
        case (_, HTTPStatus.SERVICE_UNAVAILABLE):
            return ProviderBusyError(code, f"FCM takes nothing now. {said}", retry_after(response.headers))
        case ("THIRD_PARTY_AUTH_ERROR" | "APNS_AUTH_ERROR", _):
            return NotPermittedError(code, f"the APNs key in the Firebase console is missing or wrong. {said}")
        case (_, HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN | HTTPStatus.NOT_FOUND):
            return NotPermittedError(
                code, f"look at the service account, its project and whether its Messaging API is on. {said}"
            )
        case (_, HTTPStatus.BAD_REQUEST) if _blames_the_address(refusal):
            return AddressRejectedError(code, f"{masked(address)} is no address of FCM's. {said}")
        case (_, HTTPStatus.BAD_REQUEST | HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            return MessageRejectedError(code, f"FCM refuses this message. {said}")
        case _:
            return OutcomeUnknownError(code, f"HTTP {response.status_code}: FCM may have taken it. {said}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a Retry-After header, a number or an HTTP date; None where there is none that can be read."""
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        return _seconds_until(text)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _seconds_until(http_date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def masked(address: str) -> str:
    """The last four characters, for an operator who compares; the whole address belongs in no log."""
    shown = address[-4:] if len(address) > len("....") * 2 else ""
    return f"address …{shown}"


def without(address: str, text: str) -> str:
    """A provider's text, should it quote the address."""
    return text.replace(address, masked(address)) if address else text


def _refusal(response: Response) -> _Refusal:
    try:
        return _Body.model_validate_json(response.content).error
    except ValidationError:
        return _Refusal()


def _blames_the_address(refusal: _Refusal) -> bool:
    return any(
        violation.field in _ADDRESS_FIELDS for detail in refusal.details for violation in detail.field_violations
    )
