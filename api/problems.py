"""Every error as a problem (RFC 9457): what is wrong, with which field, and what to do about it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from api.bounds import BODY_BYTES
from api.refusals import DATABASE_UNAVAILABLE, KINDS, MALFORMED, REFUSED, TOO_LARGE, UNEXPECTED, Kind
from campaigns.registry import UnknownCampaignError
from domain.problems import ProblemError, WrongStateError

MEDIA_TYPE = "application/problem+json"
_LONGEST_FIELD = 200

log = structlog.get_logger()

_REMEDIES = {
    "missing": "send this field",
    "uuid": "send a UUID, such as 0b8f4c1e-6d0a-4d5e-9f43-2a5d6b7c8e90",
    "timezone_aware": "add the offset: 2026-11-23T09:00:00Z",
    "datetime": "send RFC 3339 with an offset: 2026-11-23T09:00:00.125Z",
    "json_invalid": "send well-formed JSON",
    "extra_forbidden": "leave this field out",
    "string_too_long": "send the value as it was given to you",
    "model_attributes_type": "send a JSON object, with Content-Type: application/json",
}


class FieldProblem(BaseModel):
    model_config = ConfigDict(frozen=True)

    field: str = Field(examples=["body.received_at"])
    problem: str = Field(examples=["Input should have timezone info"])
    remedy: str = Field(examples=["add the offset: 2026-11-23T09:00:00Z"])


class Problem(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(examples=["/docs#no-such-run"])
    title: str = Field(examples=["No such run"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no run 'x': `drumbeat runs` lists them"])
    instance: str = Field(examples=["/api/v1/runs/x"])
    errors: list[FieldProblem] | None = None
    """The fields that are malformed, for a 422."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route's `responses` say of these errors."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def answer(request: Request, kind: Kind, detail: str, extra: Mapping[str, Any] | None = None) -> JSONResponse:
    """The problem as a response; `extra` are its extension members."""
    body = Problem(
        type=f"/docs#{kind.word}",
        title=kind.word.replace("-", " ").capitalize(),
        status=kind.status,
        detail=detail,
        instance=request.url.path,
        **(extra or {}),
    )
    return JSONResponse(
        body.model_dump(mode="json", exclude_none=True), kind.status, headers=kind.headers, media_type=MEDIA_TYPE
    )


def describe_problems(app: FastAPI) -> None:
    """Add the schema that `problems` refers to; FastAPI itself knows only models that answer a success."""
    _, described = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    app.openapi()["components"]["schemas"].update(described["$defs"])


def brief(error: BaseException) -> str:
    """For the log, on one line: the driver's own words, without the statement and its parameters."""
    own = getattr(error, "orig", None) or error.__cause__ or error
    return f"{type(own).__name__}: {own}".splitlines()[0]


def too_large(request: Request) -> Response:
    return answer(request, TOO_LARGE, f"a body has {BODY_BYTES} bytes at most: send less")


def register_problems(app: FastAPI) -> None:
    app.add_exception_handler(ProblemError, _of_kind)
    app.add_exception_handler(UnknownCampaignError, _of_kind)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(OperationalError, _database_unavailable)
    app.add_exception_handler(NoConnectionFreeError, _database_unavailable)
    app.add_exception_handler(Exception, _unexpected)


def _of_kind(request: Request, error: Exception) -> Response:
    kind = next((KINDS[known] for known in type(error).__mro__ if known in KINDS), REFUSED)
    extra = {"state": error.state} if isinstance(error, WrongStateError) else None
    return answer(request, kind, str(error), extra)


def _malformed(request: Request, error: Exception) -> Response:
    found: Sequence[Mapping[str, Any]] = error.errors() if isinstance(error, RequestValidationError) else ()
    fields = [_field_problem(each) for each in found]
    named = "; ".join(f"{each.field}: {each.remedy}" for each in fields)
    return answer(request, MALFORMED, named or "see /docs", {"errors": fields})


def _field_problem(error: Mapping[str, Any]) -> FieldProblem:
    # The caller's own names stand in it: of any length, and with halves of characters that cannot be sent back.
    field = ".".join(map(str, error["loc"]))[:_LONGEST_FIELD].encode(errors="replace").decode()
    remedy = next((remedy for word, remedy in _REMEDIES.items() if error["type"].startswith(word)), None)
    said = str(error["msg"]).removeprefix("Value error, ")
    return FieldProblem(field=field, problem=said, remedy=remedy or said)


def _plain(request: Request, error: Exception) -> Response:
    """What the framework refuses: unknown routes, methods that a route has not, bodies that are too large."""
    if not isinstance(error, HTTPException):
        return _unexpected(request, error)
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return too_large(request)
    status = HTTPStatus(error.status_code)
    remedy = {404: "no such address: /docs lists all", 405: "this address has other methods: see Allow and /docs"}
    kind = Kind(status, status.phrase.lower().replace(" ", "-"), headers=error.headers)
    return answer(request, kind, remedy.get(status, str(error.detail)))


def _database_unavailable(request: Request, error: Exception) -> Response:
    log.error("database_unavailable", path=request.url.path, error=brief(error))
    return answer(request, DATABASE_UNAVAILABLE, "the database cannot be used now: nothing was stored; try again")


def _unexpected(request: Request, error: Exception) -> Response:
    """The server logs the stack trace: Starlette raises the error again after this."""
    log.error("unexpected_error", path=request.url.path, error=type(error).__name__)
    return answer(request, UNEXPECTED, "something is wrong on our side; it has been logged")
