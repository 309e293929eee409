"""Who may ask for what: API keys with scopes."""

from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.parts import Parts, PartsOf
from api.refusals import ForeignPageError, MissingScopeError, NoKeyError
from db.api_keys import Scope, find_key
from db.engine import transaction

WITHOUT_KEY = "local"
"""The actor, where keys are not asked for."""

_LOOPBACK_NAMES = {"127.0.0.1", "::1", "localhost"}

_bearer = HTTPBearer(
    scheme_name="API key",
    description="`Authorization: Bearer drum_<id>_<secret>`, made by `drumbeat key create`.",
    auto_error=False,
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


def authorize(parts: Parts, given: HTTPAuthorizationCredentials | None, scope: Scope) -> str:
    """The actor, as the audit log names it: the key's id. A key that is given must be right, also where none is asked.

    Raises NoKeyError and MissingScopeError.
    """
    if given is None and not parts.api_keys_required:
        return WITHOUT_KEY
    if given is None:
        raise NoKeyError
    with transaction(parts.engine) as session:
        key = find_key(session, given.credentials)
    if key is None:
        raise NoKeyError
    if scope not in key.scopes:
        raise MissingScopeError(scope)
    return key.id


def _needs(scope: Scope) -> Callable[..., str]:
    def caller(request: Request, parts: PartsOf, given: Credentials) -> str:
        refuse_foreign(request, parts, given)
        return authorize(parts, given, scope)

    return caller


def refuse_foreign(request: Request, parts: Parts, given: HTTPAuthorizationCredentials | None) -> None:
    """Without keys, loopback is the only guard, and a page open in the operator's browser is behind it.

    Raises ForeignPageError for another site's page, and for one whose name was bound to this address meanwhile.
    """
    if given is not None:
        return
    bound_anew = not parts.api_keys_required and request.url.hostname not in _LOOPBACK_NAMES
    if bound_anew or _from_another_page(request):
        raise ForeignPageError


def _from_another_page(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


Viewer = Annotated[str, Depends(_needs(Scope.VIEW))]
Operator = Annotated[str, Depends(_needs(Scope.OPERATE))]
OfPeople = Annotated[str, Depends(_needs(Scope.PEOPLE))]
Approver = Annotated[str, Depends(_needs(Scope.APPROVE))]
