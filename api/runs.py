"""Runs: started, listed, shown, proven."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from temporalio.service import RPCError

from activities.starting import Started, StartOrder, check_same, start_and_write_down
from api.keys import Credentials, Operator, Viewer, authorize
from api.paging import PageSize, next_page
from api.parts import Parts, PartsOf, Temporal, TemporalOf, TemporalUnavailableError
from api.problems import brief, problems
from db.api_keys import Scope
from db.engine import transaction
from db.launching import LaunchStand, launch_stand
from db.ledger import Progress, progress
from db.messages import MessageStory, MessageView, list_messages, message_story
from db.runs import RunView, find_run, list_runs
from domain.launching import LaunchOrder
from domain.problems import NoSuchRunError
from domain.states import MessageState

START_SECONDS = 10.0

log = structlog.get_logger()
router = APIRouter(prefix="/api/v1/runs", tags=["Runs"], responses=problems(401, 403, 422, 503))

Reference = Annotated[
    str,
    Path(
        pattern=r"^[!-~]{1,255}$",
        description="The run's id, at least its first 8 characters, its workflow's id, or `campaign-slot`",
        examples=["lock_battery-2026-11-23T09:00:00Z"],
    ),
]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class RunRequest(_View):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"campaign": "lock_battery", "parameters": {"stale_after_days": 60}, "limit": 50}]
        },
    )

    campaign: Annotated[str, Field(max_length=100)]
    parameters: dict[str, Any] = Field(default_factory=dict)
    """What `GET /api/v1/campaigns` lists for this campaign."""
    limit: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Let only so many messages go; the others are held until they are released."""
    launch: LaunchOrder = LaunchOrder()
    """A canary that goes first, an undo window before the first send; else as campaign or operator say."""
    bypass_frequency_caps: bool = False
    """Send also to who has had enough; quiet hours and opt-outs hold. Needs the scope `bypass` too, and is audited."""


class StartedRun(_View):
    run_id: UUID
    workflow_id: str
    already: bool
    """This key had started it before: it is the same run."""
    status_url: str


class RunPage(_View):
    runs: list[RunView]
    next: str | None
    """The address of the next page."""


class RunStand(_View):
    run: RunView
    progress: Progress
    launch: LaunchStand | None
    """What it waits for before it sends to everybody."""


class MessagePage(_View):
    messages: list[MessageView]
    next: str | None


@router.post(
    "",
    status_code=202,
    responses=problems(404, 409) | {200: {"model": StartedRun, "description": "This key had started it before"}},
)
async def start(
    *,
    order: RunRequest,
    request: Request,
    response: Response,
    parts: PartsOf,
    temporal: TemporalOf,
    actor: Operator,
    given: Credentials,
    key: Annotated[str | None, Header(alias="Idempotency-Key", examples=["november-reminder"])] = None,
) -> StartedRun:
    """Start a run. With the same Idempotency-Key it may be repeated: there is one run for each key.

    Without a key, two equal requests within a minute are one. It is `scheduled` until a worker begins it.
    """
    if order.bypass_frequency_caps:
        await run_in_threadpool(authorize, parts, given, Scope.BYPASS)
    wanted = _parameters(parts, order)
    bypass = order.bypass_frequency_caps
    start_order = StartOrder(order.campaign, order.parameters, key, order.limit, actor, order.launch, bypass)
    started = await start_on_temporal(parts, temporal, start_order)
    if started.already:
        await run_in_threadpool(_check_same, parts, started, wanted, order)
    return told(started, request, response)


@router.get("")
def index(
    parts: PartsOf, request: Request, _: Viewer, limit: PageSize = 50, before: AwareDatetime | None = None
) -> RunPage:
    """The newest first; `before` is the `created_at` of the last run of the page before."""
    with transaction(parts.engine) as session:
        runs = list_runs(session, limit, before)
    more = {"limit": limit, "before": runs[-1].created_at.isoformat()} if len(runs) == limit else None
    return RunPage(runs=runs, next=next_page(request, more))


@router.get("/{reference}", responses=problems(404))
def show(reference: Reference, parts: PartsOf, _: Viewer) -> RunStand:
    """How a run stands now."""
    with transaction(parts.engine) as session:
        run = find_run(session, reference)
        return RunStand(run=run, progress=progress(session, run.id), launch=launch_stand(session, run))


@router.get("/{reference}/messages", responses=problems(404))
def messages(
    *,
    reference: Reference,
    request: Request,
    parts: PartsOf,
    _: Viewer,
    state: MessageState | None = None,
    after: UUID | None = None,
    limit: PageSize = 100,
) -> MessagePage:
    """A run's messages in the order of their ids; `after` is the last id of the page before."""
    with transaction(parts.engine) as session:
        found = list_messages(session, find_run(session, reference).id, state, after, limit)
    more = {"state": state, "after": found[-1].id, "limit": limit} if len(found) == limit else None
    return MessagePage(messages=found, next=next_page(request, more))


@router.get("/{reference}/messages/{message_id}", responses=problems(404))
def story(reference: Reference, message_id: UUID, parts: PartsOf, _: Viewer) -> MessageStory:
    """All that is known of one message."""
    with transaction(parts.engine) as session:
        return message_story(session, find_run(session, reference).id, message_id)


def told(started: Started, request: Request, response: Response) -> StartedRun:
    """Where to look; 200 in place of 202 where it had been started before."""
    if started.already:
        response.status_code = 200
    url = str(request.app.url_path_for("show", reference=str(started.run_id)))
    response.headers["Location"] = url
    return StartedRun(run_id=started.run_id, workflow_id=started.workflow_id, already=started.already, status_url=url)


def _parameters(parts: Parts, order: RunRequest) -> dict[str, Any]:
    """What the run would use; asked before Temporal is, so that a wrong word is answered precisely in any case."""
    try:
        return parts.registry.parameters(order.campaign, order.parameters).model_dump(mode="json")
    except ValidationError as error:
        found = [{**each, "loc": ("body", "parameters", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from error


async def start_on_temporal(parts: Parts, temporal: Temporal, order: StartOrder) -> Started:
    client = await temporal.client()
    try:
        async with asyncio.timeout(START_SECONDS):
            return await start_and_write_down(client, parts.engine, parts.registry, order, parts.core_queue)
    except (RPCError, TimeoutError) as error:
        log.warning("run_not_started", campaign=order.campaign, error=brief(error))
        raise TemporalUnavailableError from error


def _check_same(parts: Parts, started: Started, wanted: Mapping[str, Any], order: RunRequest) -> None:
    try:
        with transaction(parts.engine) as session:
            run = find_run(session, str(started.run_id))
    except NoSuchRunError:  # no worker has begun it yet
        return
    check_same(run, wanted, bypass_frequency_caps=order.bypass_frequency_caps, launch=order.launch)
