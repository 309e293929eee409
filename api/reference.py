"""The API's reference as one page, made from its own OpenAPI description: no script, nothing from elsewhere."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.pages import page
from api.refusals import all_kinds

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    summary: str
    parameters: list[tuple[str, str, str]]
    """Name, where it is sent, what it is."""
    example: str | None
    answers: list[tuple[str, str]]


@router.get("/docs")
def reference(request: Request) -> Response:
    """For people; programs read /openapi.json."""
    described = request.app.openapi()
    return page("reference.html", about=described["info"], groups=_by_tag(described), kinds=all_kinds())


def _by_tag(described: Mapping[str, Any]) -> dict[str, list[Operation]]:
    groups: dict[str, list[Operation]] = defaultdict(list)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(_operation(path, method, operation, described))
    return dict(groups)


def _operation(path: str, method: str, operation: Mapping[str, Any], described: Mapping[str, Any]) -> Operation:
    return Operation(
        method=method.upper(),
        path=path,
        summary=operation.get("description", ""),
        parameters=[
            (each["name"], each["in"], each.get("description", "required" if each.get("required") else ""))
            for each in operation.get("parameters", ())
        ],
        example=_example(operation, described),
        answers=[(status, each["description"]) for status, each in sorted(operation["responses"].items())],
    )


def _example(operation: Mapping[str, Any], described: Mapping[str, Any]) -> str | None:
    for schema in _body_schemas(operation):
        name = schema.get("$ref", "").rpartition("/")[2]
        examples = described["components"]["schemas"].get(name, {}).get("examples")
        if examples:
            return json.dumps(examples[0], indent=2)
    return None


def _body_schemas(operation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A body that may be left out is a choice of schemas."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield content["schema"]
        yield from content["schema"].get("anyOf", ())
