"""A device says that a push has arrived. The fact is committed before it hears that it was taken."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from api.keys import Credentials, authorize
from api.parts import Parts, PartsOf, RelayOf
from api.problems import problems
from api.refusals import ForgedTokenError, NoSuchAttemptError
from api.relay import acknowledged
from db.api_keys import Scope
from db.engine import transaction
from db.facts import take_acknowledgement
from domain.tokens import TokenForgedError

# A device that lost its clock says 1970 and is believed to have received; what lies outside is not a clock.
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_A_MOMENT = "send RFC 3339 with an offset: 2026-11-23T09:00:00.125Z"

router = APIRouter(prefix="/api/v1", tags=["Devices"])


def _only_text(given: object) -> object:
    if not isinstance(given, str):
        raise ValueError(_A_MOMENT)  # noqa: TRY004 - pydantic makes a field's problem of a ValueError alone
    return given


def _possible(received_at: datetime) -> datetime:
    """In UTC, where the last hours of the calendar cannot overflow."""
    if not _FIRST_YEAR <= received_at.year <= _LAST_YEAR:
        raise ValueError(f"{received_at.year} is not a year of a clock: {_A_MOMENT}")
    return received_at.astimezone(UTC)


class Ack(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "message_id": "0b8f4c1e-6d0a-4d5e-9f43-2a5d6b7c8e90",
                    "received_at": "2026-11-23T09:00:00.125Z",
                    "token": "B1v5o0cX0m9m1x2b3Qk4Vwc",
                }
            ]
        },
    )

    message_id: UUID
    """As it came in the push: one attempt's id."""
    received_at: Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(_possible)]
    """By the device's clock, however wrong that is."""
    token: Annotated[str, Field(max_length=64)] | None = None
    """`ack_token` as it came in the push; without it, an API key with the scope `ack`."""


class Accepted(BaseModel):
    model_config = ConfigDict(frozen=True)

    status: Literal["accepted"] = "accepted"
    first: bool
    """No acknowledgement of this message had come before."""
    late: bool
    """The message had ended without one."""


@router.post("/push/ack", status_code=202, responses=problems(401, 403, 404, 413, 422, 503))
def acknowledge(ack: Ack, parts: PartsOf, relay: RelayOf, credentials: Credentials) -> Accepted:
    """Acknowledge one attempt. It may be repeated, and come late: each one is stored, the first one counts."""
    _check_sender(ack, parts, credentials)
    with transaction(parts.engine) as session:
        taken = take_acknowledgement(session, ack.message_id, ack.received_at)
    if taken is None:
        raise NoSuchAttemptError
    if taken.first and not taken.late:
        relay.put(acknowledged(taken.message_id))
    return Accepted(first=taken.first, late=taken.late)


def _check_sender(ack: Ack, parts: Parts, credentials: HTTPAuthorizationCredentials | None) -> None:
    if ack.token is None:
        authorize(parts, credentials, Scope.ACK)
        return
    try:
        parts.signer.check_ack_token(ack.token, ack.message_id)
    except TokenForgedError as error:
        raise ForgedTokenError from error
