"""Links in messages. Whatever happens, a person sees a page or is taken on, never an error."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from api.bounds import MovingWindow
from api.pages import page
from api.parts import Parts, PartsOf, RelayOf
from api.problems import brief
from api.relay import Relay, clicked
from db.clicks import seconds_since_sent
from db.engine import transaction
from db.facts import ClickHit, take_click
from domain.clicks import ClickClass, classify
from domain.tokens import TokenExpiredError, TokenForgedError

NAMED_IN_LINKS = ("campaign_id", "lock_id", "user_id")
_LONGEST_WORD = 200
_LONGEST_AGENT = 500
LINK: dict[int | str, dict[str, Any]] = {
    200: {"description": "A thank-you page", "content": {"text/html": {}}},
    302: {"description": "Taken on, where CLICK_LANDING_URL is set"},
}

router = APIRouter(tags=["Links"])
log = structlog.get_logger()


@router.head("/c/{token:path}", include_in_schema=False)
@router.get(
    "/c/{token:path}",
    response_class=Response,
    responses=LINK | {"4XX": {"description": "A page: it is not a link of ours (404), or it has expired (410)"}},
)
def follow_link(token: str, request: Request, parts: PartsOf, relay: RelayOf) -> Response:
    """A signed link: stores the click and takes the person on. Not bounded: nobody but us can make one."""
    try:
        message_id = parts.signer.read_click_token(token, datetime.now(UTC))
    except TokenForgedError:
        return page("unknown_link.html", 404)
    except TokenExpiredError as error:
        _store(request, parts, relay, error.message_id, expired=True)
        return page("expired_link.html", 410)
    _store(request, parts, relay, message_id)
    return _taken_on(parts)


def historical_click(request: Request, parts: Parts, relay: Relay, window: MovingWindow) -> Response:
    """`/?event=click&campaign_id=…`: not signed, so it is bounded; the address itself is api/home.py's."""
    if window.admits(request):
        _store(request, parts, relay, None)
    return _taken_on(parts)


def _store(request: Request, parts: Parts, relay: Relay, message_id: UUID | None, *, expired: bool = False) -> None:
    """Commit first, then nudge. A database that is away must not stand in a person's way: the log keeps the click."""
    named = _named(request) if message_id is None else {}
    try:
        with transaction(parts.engine) as session:
            click_class = ClickClass.EXPIRED if expired else _class_of(session, request, parts, message_id)
            hit = ClickHit(click_class, message_id is not None, message_id, named, _agent(request))
            taken = take_click(session, hit)
    except SQLAlchemyError as error:
        log.error(  # noqa: TRY400 - an outage needs no stack trace
            "click_not_stored", message_id=str(message_id), unsigned=bool(named), error=brief(error)
        )
        return
    if taken.nudges and taken.message_id:
        relay.put(clicked(taken.message_id))


def _class_of(session: Session, request: Request, parts: Parts, message_id: UUID | None) -> ClickClass:
    """Of an unsigned link nobody knows the message yet, so its age says nothing about the class."""
    seconds = seconds_since_sent(session, message_id) if message_id else None
    return classify(request.method, request.headers, _agent(request), seconds, too_fast_seconds=parts.too_fast_seconds)


def _named(request: Request) -> dict[str, str]:
    return {word: _storable(request.query_params.getlist(word), _LONGEST_WORD) for word in NAMED_IN_LINKS}


def _agent(request: Request) -> str | None:
    return _storable(request.headers.getlist("user-agent"), _LONGEST_AGENT) or None


def _storable(values: list[str], longest: int) -> str:
    """The first one that says something, cut, without the one character that PostgreSQL cannot hold."""
    cleaned = (value.replace("\0", "")[:longest] for value in values)
    return next((value for value in cleaned if value), "")


def _taken_on(parts: Parts) -> Response:
    return RedirectResponse(parts.click_landing_url, 302) if parts.click_landing_url else page("thanks.html")
