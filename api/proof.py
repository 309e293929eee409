"""The proof of a run, and the channels' own reports that it is held against."""

from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from api.keys import Operator, Viewer
from api.parts import Parts, PartsOf
from api.problems import answer, problems
from api.refusals import NOT_BALANCED
from api.runs import Reference
from db.engine import transaction
from db.proof import Proof, prove
from db.proof_rows import proof_rows
from db.reports import clear_report, import_report
from db.runs import RunView, find_run
from domain.proof_csv import proof_lines
from domain.reports import read_report

LINES_AT_ONCE = 500

router = APIRouter(prefix="/api/v1/runs/{reference}", tags=["Runs"], responses=problems(401, 403, 404, 422, 503))

_REPORT = "message_id\n0b8f4c1e-6d0a-4d5e-9f43-2a5d6b7c8e90\n"

ChannelName = Annotated[str, Path(max_length=100, examples=["fcm"])]


class ImportedReport(BaseModel):
    model_config = ConfigDict(frozen=True)

    channel: str
    messages: int
    """How many it names."""


@router.get(
    "/proof",
    responses={
        **problems(409),
        200: {"description": "It balances", "content": {"text/csv": {}}},
    },
    response_model=Proof,
)
def proof(
    *,
    reference: Reference,
    request: Request,
    parts: PartsOf,
    _: Viewer,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Proof | Response:
    """The ledger: everybody targeted is in exactly one state, and it is the one that attempts and reports make of it.

    While it does not balance the answer is a problem (409) that carries the same members. With `format=csv` each
    message is a line, with the same statuses.
    """
    with transaction(parts.engine) as session:
        run = find_run(session, reference)
        found = prove(session, run.id)
    if form == "csv":
        return _as_csv(parts, run, HTTPStatus.OK if found.balanced else HTTPStatus.CONFLICT)
    if found.balanced:
        return found
    detail = (
        f"{found.rows} messages of {found.targeted} targeted, {found.different} in a state that is not proven, "
        f"{found.report_different} tries that a channel's own report tells differently"
    )
    return answer(request, NOT_BALANCED, detail, found.model_dump())


@router.put("/reports/{channel}")
def import_one(
    reference: Reference,
    channel: ChannelName,
    parts: PartsOf,
    actor: Operator,
    report: Annotated[bytes, Body(media_type="text/csv", examples=[_REPORT])],
) -> ImportedReport:
    """What this channel says that it has taken of this run: the proof is held against it. In place of the one before.

    CSV with a header that has `message_id` (as it travelled), `provider_id`, or both. Large ones: `drumbeat report`.
    """
    with transaction(parts.engine) as session:
        run = find_run(session, reference)
        lines = report.splitlines(keepends=True)
        return ImportedReport(
            channel=channel, messages=import_report(session, run.id, channel, read_report(lines), actor)
        )


@router.delete("/reports/{channel}", status_code=204)
def clear_one(reference: Reference, channel: ChannelName, parts: PartsOf, actor: Operator) -> None:
    """Forget this channel's report. May be repeated."""
    with transaction(parts.engine) as session:
        clear_report(session, find_run(session, reference).id, channel, actor)


def _as_csv(parts: Parts, run: RunView, status: HTTPStatus) -> Response:
    lines = proof_lines(proof_rows(parts.engine, run.id))
    named = {"Content-Disposition": f'attachment; filename="proof-{str(run.id)[:8]}.csv"'}
    return StreamingResponse(_in_pages(lines), status, named, media_type="text/csv")


def _in_pages(lines: Iterator[str]) -> Iterator[str]:
    while page := "".join(islice(lines, LINES_AT_ONCE)):
        yield page
