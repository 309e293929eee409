"""The suppression list: who gets nothing, on any campaign. It holds hashes, never an address."""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from starlette.responses import StreamingResponse

from api.keys import OfPeople
from api.paging import PageSize, next_page
from api.parts import Parts, PartsOf, RelayOf
from api.problems import problems
from api.relay import look_again
from db.engine import transaction
from db.suppressions import SuppressionView, export_suppressions, lift, list_suppressions, suppress
from domain.addresses import LONGEST, checked, checked_channel
from domain.suppression import Reason
from domain.suppression_list import export_lines

router = APIRouter(prefix="/api/v1/suppressions", tags=["People"], responses=problems(400, 401, 403, 422, 503))

LINES_AT_ONCE = 1000
_CURSOR = "~"
_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)

Word = Annotated[str, Query(pattern="^[!-~]{1,64}$")]


class Suppress(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"channel": "email", "address": "ada@mail.example", "reason": "opted_out"}],
        },
    )

    channel: Annotated[str, Field(max_length=40)]
    """`person`: the address is the person's key, and they get nothing on any channel."""
    address: Annotated[str, Field(max_length=LONGEST)]
    reason: Annotated[str, Field(max_length=64)] = Reason.OPERATOR


class Lift(BaseModel):
    """By the address, or by its hash as the list has it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"channel": "email", "address": "ada@mail.example"}]},
    )

    channel: Annotated[str, Field(max_length=40)]
    address: Annotated[str, Field(max_length=LONGEST)] | None = None
    address_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None


class SuppressedEntry(BaseModel):
    model_config = ConfigDict(frozen=True)

    suppression: SuppressionView
    already: bool
    """It was on the list before."""


class SuppressionPage(BaseModel):
    model_config = ConfigDict(frozen=True)

    suppressions: list[SuppressionView]
    next: str | None
    """The address of the next page."""


@router.post(
    "", status_code=201, responses={200: {"model": SuppressedEntry, "description": "It was on the list before"}}
)
def add(order: Suppress, response: Response, parts: PartsOf, relay: RelayOf, actor: OfPeople) -> SuppressedEntry:
    """Put an address, or a person, on the list. It holds from the answer on, also in runs under way."""
    with transaction(parts.engine) as session:
        done = suppress(session, parts.hash_address, order.channel, order.address, actor=actor, reason=order.reason)
    for message_id in done.waiting:
        relay.put(look_again(message_id))
    if done.already:
        response.status_code = 200
    return SuppressedEntry(suppression=done.entry, already=done.already)


@router.delete("", responses=problems(404))
def take_off(order: Lift, parts: PartsOf, actor: OfPeople) -> SuppressionView:
    """Take an address, or a person, off the list. Messages that ended because of it stay ended."""
    address_hash = _hash_of(parts, order)
    with transaction(parts.engine) as session:
        return lift(session, checked_channel(order.channel), address_hash, actor=actor)


@router.get("")
def index(
    *,
    request: Request,
    parts: PartsOf,
    _: OfPeople,
    channel: Word | None = None,
    reason: Word | None = None,
    limit: PageSize = 100,
    after: Annotated[str | None, Query(pattern="^[!-~]{1,200}$", description="As `next` gives it")] = None,
) -> SuppressionPage:
    """The newest first."""
    with transaction(parts.engine) as session:
        found = list_suppressions(session, limit, channel=channel, reason=reason, after=_place(after))
    last = found[-1] if len(found) == limit else None
    place = last and _CURSOR.join((last.since.isoformat(), last.channel, last.address_hash))
    more = {"channel": channel, "reason": reason, "limit": limit, "after": place} if place else None
    return SuppressionPage(suppressions=found, next=next_page(request, more))


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"description": "The whole list as CSV, hashes only", "content": {"text/csv": {}}}},
)
def export(parts: PartsOf, _: OfPeople) -> StreamingResponse:
    """The whole list as CSV. `drumbeat suppress import` reads it where ADDRESS_HASH_KEY is the same."""
    entries = export_suppressions(parts.engine)
    # The first page is read before the answer begins: a database that is away is a problem, no broken file.
    entries = chain(list(islice(entries, 1)), entries)
    rows = ((each.channel, each.address_hash, each.reason, each.source, each.since) for each in entries)
    lines = export_lines(rows, parts.hash_address.key_id)
    named = {"Content-Disposition": 'attachment; filename="suppressions.csv"'}
    return StreamingResponse(_in_pages(lines), media_type="text/csv", headers=named)


def _in_pages(lines: Iterator[str]) -> Iterator[str]:
    while page := "".join(islice(lines, LINES_AT_ONCE)):
        yield page


def _hash_of(parts: Parts, order: Lift) -> str:
    if (order.address is None) == (order.address_hash is None):
        raise _malformed("body", "address", "send either address or address_hash")
    if order.address_hash is not None:
        return order.address_hash
    return parts.hash_address(order.channel, checked(order.channel, order.address or ""))


def _place(after: str | None) -> tuple[datetime, str, str] | None:
    if after is None:
        return None
    try:
        since, channel, address_hash = after.split(_CURSOR)
        return _MOMENT.validate_python(since), channel, address_hash
    except ValueError:
        raise _malformed("query", "after", "send it as `next` of the page before gave it") from None


def _malformed(place: str, field: str, remedy: str) -> RequestValidationError:
    return RequestValidationError([{"loc": (place, field), "msg": remedy, "type": "value_error"}])
