"""`/u/{token}`: GET asks, POST does. Whatever happens, a person sees a page, never an error."""

from typing import Any
from uuid import UUID

import structlog
from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from api.bounds import SECURITY_HEADERS
from api.pages import page
from api.parts import Parts, PartsOf, RelayOf, WindowOf
from api.problems import brief
from api.relay import look_again
from db.engine import transaction
from db.unsubscribing import unsubscribe
from domain.tokens import TokenForgedError

_OWN_FORM = SECURITY_HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'")
_PAGES: dict[int | str, dict[str, Any]] = {
    200: {"description": "A page", "content": {"text/html": {}}},
    "4XX": {"description": "A page: it is not a link of ours (404), or it was sent too often within a minute (429)"},
}
_AWAY: dict[int | str, dict[str, Any]] = {503: {"description": "A page: nothing was stored; see Retry-After"}}

router = APIRouter(tags=["Links"])
log = structlog.get_logger()


@router.head("/u/{token:path}", include_in_schema=False)
@router.get("/u/{token:path}", response_class=Response, responses=_PAGES)
def ask(token: str, parts: PartsOf) -> Response:
    """Asks whether somebody wants to get nothing more. It changes nothing: scanners and previews open links too."""
    if _message_of(parts, token) is None:
        return page("unknown_link.html", 404)
    asked = page("unsubscribe.html")
    asked.headers["Content-Security-Policy"] = _OWN_FORM
    return asked


@router.post("/u/{token:path}", response_class=Response, responses=_PAGES | _AWAY)
def take(token: str, parts: PartsOf, relay: RelayOf, window: WindowOf) -> Response:
    """The person of this message gets nothing more, by any channel or campaign. May be repeated.

    The token says all: the body (`List-Unsubscribe=One-Click` of RFC 8058, or our own form's) is not read.
    """
    message_id = _message_of(parts, token)
    if message_id is None:
        return page("unknown_link.html", 404)
    # By the link and not by its caller: one mail provider sends the requests of all its users.
    if not window.has_room_for(str(message_id)):
        return _later(429, 60)
    try:
        with transaction(parts.engine) as session:
            waiting = unsubscribe(session, message_id, parts.hash_address)
    except SQLAlchemyError as error:
        log.error("unsubscribe_not_stored", message_id=str(message_id), error=brief(error))  # noqa: TRY400 - an outage
        return _later(503, 30)
    for each in waiting:
        relay.put(look_again(each))
    return page("unsubscribed.html")


def _message_of(parts: Parts, token: str) -> UUID | None:
    try:
        return parts.signer.read_unsubscribe_token(token)
    except TokenForgedError:
        return None


def _later(status: int, seconds: int) -> Response:
    """With the same form, so that one more press is enough."""
    answer = page("unsubscribe_later.html", status)
    answer.headers["Content-Security-Policy"] = _OWN_FORM
    answer.headers["Retry-After"] = str(seconds)
    return answer
