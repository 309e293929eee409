"""The address `/`: the figures of all campaigns, for people; with `event=click`, a link in the historical form."""

import base64
from datetime import UTC, datetime
from typing import Any

import structlog
from fastapi import APIRouter, Request
from fastapi.security import HTTPAuthorizationCredentials
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError
from starlette.responses import Response

from api.clicks import LINK, NAMED_IN_LINKS, historical_click
from api.keys import authorize, refuse_foreign
from api.pages import page
from api.parts import Parts, PartsOf, RelayOf, WindowOf
from api.problems import brief
from api.refusals import ForeignPageError, MissingScopeError, NoKeyError
from api.sections import RUNS_SHOWN, section
from api.trends import moment
from campaigns.registry import UnknownCampaignError
from db.api_keys import Scope
from db.engine import transaction
from db.figures import campaign_figures

_EXAMPLES = {"event": "click", **dict(zip(NAMED_IN_LINKS, ("lock_battery", "lock-17", "ada"), strict=True))}
_PAGED = {"campaign": "lock_battery", "before": "2026-11-16T09:00:00Z"}
_ANSWERS: dict[int | str, dict[str, Any]] = LINK | {
    200: {"description": "A page", "content": {"text/html": {}}},
    401: {"description": "A page: the figures need an API key with the scope `view`"},
    404: {"description": "A page: there is no such campaign"},
    422: {"description": "A page: `before` is no time"},
    503: {"description": "A page: the database is away"},
}

router = APIRouter(tags=["Links"])
log = structlog.get_logger()


class BadTimeError(ValueError):
    pass


@router.head("/", include_in_schema=False)
@router.get(
    "/",
    response_class=Response,
    responses=_ANSWERS,
    openapi_extra={
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "example": example}
            for name, example in (_EXAMPLES | _PAGED).items()
        ]
    },
)
def front_door(request: Request, parts: PartsOf, relay: RelayOf, window: WindowOf) -> Response:
    """The figures of all campaigns as a page; a browser gives an API key (scope `view`) by HTTP Basic, as the password.

    With `event=click`, a link in the historical form, which is not signed and needs no key. One route for both:
    routes are not chosen by the query.
    """
    if "click" in request.query_params.getlist("event"):
        return historical_click(request, parts, relay, window)
    return _page(request, parts)


def _page(request: Request, parts: Parts) -> Response:
    """Whatever happens, it is a page."""
    try:
        given = _given(request)
        refuse_foreign(request, parts, given)
        authorize(parts, given, Scope.VIEW)
        return _figures(request, parts)
    except ForeignPageError as error:
        return _notice(403, "This page is for this machine alone", f"{error}.")
    except (NoKeyError, MissingScopeError) as error:
        return _ask_for_key(error)
    except UnknownCampaignError:
        there_are = ", ".join(sorted(parts.registry.campaigns)) or "none"
        return _notice(404, "There is no such campaign", f"There are: {there_are}.")
    except BadTimeError:
        return _notice(422, "This address is not complete", "before= must be a time with its offset.")
    except (OperationalError, NoConnectionFreeError) as error:
        log.error("page_not_shown", error=brief(error))  # noqa: TRY400 - an outage needs no stack trace
        words = "The database cannot be reached now. Nothing is lost: load this page again in a moment."
        return _notice(503, "The figures are away", words)


def _given(request: Request) -> HTTPAuthorizationCredentials | None:
    """The key, by Bearer or as the password of HTTP Basic."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        # Here only, never on a route that changes something: a browser that has learned a password sends it by itself
        # with every request to this address, also with one that another site's page made it send.
        return HTTPAuthorizationCredentials(scheme=scheme, credentials=_password(value))
    return HTTPAuthorizationCredentials(scheme=scheme, credentials=value) if scheme.lower() == "bearer" else None


def _password(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _ask_for_key(error: NoKeyError | MissingScopeError) -> Response:
    """401 also for a key that may not see this: after a 403 a browser would not ask for another one."""
    why = "This key has not the scope view. " if isinstance(error, MissingScopeError) else ""
    words = f"{why}Load the page again and give an API key as the password; any user name will do."
    answer = _notice(401, "An API key is needed", words, "drumbeat key create NAME --scope view")
    answer.headers["WWW-Authenticate"] = 'Basic realm="Drumbeat"'
    return answer


def _notice(status: int, title: str, words: str, command: str | None = None) -> Response:
    return page("notice.html", status, heading=title, words=words, command=command)


def _figures(request: Request, parts: Parts) -> Response:
    one, before = request.query_params.get("campaign"), _before(request.query_params.get("before"))
    names = [parts.registry[one].name] if one else sorted(parts.registry.campaigns)
    with transaction(parts.engine) as session:
        found = {name: campaign_figures(session, name, RUNS_SHOWN, before) for name in names}
    paged = before is not None
    sections = [section(parts.registry[name], runs, paged=paged) for name, runs in found.items()]
    return page("home.html", sections=sections, alone=bool(one), paged=paged, now=moment(datetime.now(UTC), UTC))


def _before(text: str | None) -> datetime | None:
    """Not declared to FastAPI: a link in the historical form must never be refused for what it says besides."""
    if not text:
        return None
    try:
        before = datetime.fromisoformat(text)
    except ValueError:
        raise BadTimeError from None
    if before.tzinfo is None:
        raise BadTimeError
    return before
