"""FCM's answers, as its v1 API words them."""

import json
from dataclasses import dataclass, field, replace

from sandbox.fcm.faults import Fault

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_PAGE = b"<!DOCTYPE html><title>Welcome</title><p>Please accept the terms of this network."
_JSON, _HTML = "application/json; charset=UTF-8", "text/html; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = _JSON
    headers: dict[str, str] = field(default_factory=dict)
    dribbled_seconds: float = 0.0
    """How long the body takes, byte by byte."""


def taken(name: str) -> Answer:
    return Answer(200, json.dumps({"name": name}).encode())


def page(status: int) -> Answer:
    """What a captive portal or a broken gateway says in FCM's place."""
    return Answer(status, _PAGE, _HTML)


def refusal(
    http_status: int, status: str, message: str, error_code: str | None = None, field_name: str | None = None
) -> Answer:
    """An error of a Google API; `error_code` is FCM's own word, `field_name` the part of the request to blame."""
    details: list[dict[str, object]] = []
    if error_code:
        details.append({"@type": _FCM_ERROR, "errorCode": error_code})
    if field_name:
        violation = {"field": field_name, "description": message}
        details.append({"@type": _BAD_REQUEST, "fieldViolations": [violation]})
    error = {"code": http_status, "message": message, "status": status, "details": details}
    return Answer(http_status, json.dumps({"error": error}, indent=2).encode())


def invalid_argument(message: str, field_name: str | None = None) -> Answer:
    return refusal(400, "INVALID_ARGUMENT", message, "INVALID_ARGUMENT", field_name)


UNAUTHENTICATED = refusal(
    401, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token."
)
NO_SUCH_PROJECT = refusal(404, "NOT_FOUND", "Requested project was not found.")
NO_SUCH_PAGE = page(404)

_REFUSALS = {
    Fault.DEAD: refusal(404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED"),
    Fault.MISMATCH: refusal(403, "PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH"),
    Fault.QUOTA: refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric.", "QUOTA_EXCEEDED"),
    Fault.INVALID: invalid_argument("The registration token is not a valid FCM registration token", "message.token"),
    Fault.DENIED: refusal(401, "UNAUTHENTICATED", "Auth error from APNS or Web Push.", "THIRD_PARTY_AUTH_ERROR"),
    Fault.ERROR500: refusal(500, "INTERNAL", "Internal error encountered.", "INTERNAL"),
    Fault.ERROR502: page(502),
    Fault.BUSY503: refusal(503, "UNAVAILABLE", "The service is currently unavailable.", "UNAVAILABLE"),
    Fault.MOVED: replace(page(307), headers={"Location": "?again"}),
}


def refused(fault: Fault, retry_after: str) -> Answer | None:
    """The answer of a fault that accepts nothing; None for those that accept or never answer."""
    answer = _REFUSALS.get(fault)
    if answer and fault is Fault.QUOTA:
        return replace(answer, headers={"Retry-After": retry_after})
    return answer
