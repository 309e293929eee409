"""The snapshot of a run's audience: read from the customer's data page by page, resumed where a dead worker stopped."""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from campaigns.campaign import Campaign
from campaigns.registry import Registry
from db.audience import add_messages, assign, close_snapshot, has_messages, refresh_statistics, store_rows
from db.engine import transaction
from db.measurement import store_before
from db.retrying import copy_failed
from db.runs import RunView, get_run, note_waiting, plan_of
from domain.message import AudiencePage, Scan
from domain.plan import Plan
from domain.problems import ProblemError, TemporaryProblemError
from domain.states import RunState

TRIES_AT_MOST = 120
"""With a wait of 30 s between them: an hour in which a source may come back."""


_COPIED_UP_TO = "copied_up_to"
"""A bookmark: the position of a message in the run that is retried."""


class SourceOffError(ProblemError):
    def __init__(self, source: str) -> None:
        super().__init__(f"source {source!r} is off: see its settings")


def source_of(campaign: Campaign[Any], sources: Mapping[str, Any]) -> Any:  # noqa: ANN401 - each campaign knows its own
    """Raises SourceOffError."""
    if campaign.source not in sources:
        raise SourceOffError(campaign.source)
    return sources[campaign.source]


class Progress(BaseModel):
    """What a retry needs to know: the heartbeat's details. Places and counts only."""

    model_config = ConfigDict(frozen=True)

    bookmarks: dict[str, str] = Field(default_factory=dict)
    left_out: dict[str, int] = Field(default_factory=dict)
    noted: dict[str, int] = Field(default_factory=dict)

    def after(self, page: AudiencePage) -> "Progress":
        return Progress(
            bookmarks={**self.bookmarks, **dict([page.bookmark] if page.bookmark else [])},
            left_out=Counter(self.left_out) + Counter(page.left_out),
            noted=Counter(self.noted) + Counter(page.noted),
        )


class AudienceSnapshot:
    def __init__(self, engine: Engine, registry: Registry, sources: Mapping[str, Any]) -> None:
        self._engine = engine
        self._registry = registry
        self._sources = sources

    @activity.defn
    def take_audience_snapshot(self, run_id: UUID) -> int:
        """How many are targeted. Rows first, then a message for each recipient; both in pages that may come twice."""
        with transaction(self._engine) as session:
            run = get_run(session, run_id)
        if run.targeted is not None:
            return run.targeted  # taken before: an earlier try was not heard of, or the slot is an old one
        if run.state is RunState.CANCELLED:
            with transaction(self._engine) as session:
                return close_snapshot(session, run_id, {}, {})
        try:
            progress = self._store_audience(run)
        except ProblemError as error:
            # A table that is not there does not appear by asking again, a server that was away may be back.
            for_good = not isinstance(error, TemporaryProblemError) or activity.info().attempt >= TRIES_AT_MOST
            with transaction(self._engine) as session:
                note_waiting(session, run_id, str(error))
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=for_good) from error
        except Exception as error:
            self._note_mishap(run_id, error)
            raise
        self._make_messages(run_id, progress)
        with transaction(self._engine) as session:
            return close_snapshot(session, run_id, progress.left_out, progress.noted)

    def _note_mishap(self, run_id: UUID, error: Exception) -> None:
        """A fault of the campaign's or the source's own code: the log has it whole, the run says so in a word."""
        with transaction(self._engine) as session:
            note_waiting(session, run_id, f"the audience cannot be read ({type(error).__name__}): see the worker's log")

    def _store_audience(self, run: RunView) -> Progress:
        if run.retry_of is not None:
            return self._copy_failed(run.id, run.retry_of)
        progress = _resumed()
        campaign = self._registry[run.campaign]
        source = source_of(campaign, self._sources)
        parameters = campaign.parameters.model_validate(run.parameters)
        scan = Scan(as_of=run.started_at or run.created_at, bookmarks=progress.bookmarks)
        measured = self._plan(run.id).measured_for_seconds is not None
        with transaction(self._engine) as session:
            complete = has_messages(session, run.id)
        for page in campaign.audience(parameters, source, scan):
            if not complete:  # else the pages since the last heartbeat are read for their counts alone
                self._store(run.id, page, measured=measured)
            progress = progress.after(page)
            activity.heartbeat(progress)
        return progress

    def _copy_failed(self, run_id: UUID, retry_of: UUID) -> Progress:
        """In place of reading the source: who has failed in that run, with the rows that it had of them."""
        progress = _resumed()
        while True:
            with transaction(self._engine) as session:
                page = copy_failed(session, run_id, retry_of, after=int(progress.bookmarks.get(_COPIED_UP_TO, 0)))
            if page is None:
                return progress
            progress = progress.after(AudiencePage((), page.left_out, {}, (_COPIED_UP_TO, str(page.up_to))))
            activity.heartbeat(progress)

    def _store(self, run_id: UUID, page: AudiencePage, *, measured: bool) -> None:
        with transaction(self._engine) as session:
            store_rows(session, run_id, page.recipients)
            if measured:
                store_before(session, run_id, page.before)

    def _make_messages(self, run_id: UUID, progress: Progress) -> None:
        channels = [rung.channel for rung in self._plan(run_id).ladder]
        self._refresh_statistics()
        with transaction(self._engine) as session:
            assignment = assign(session, run_id)
        added = 1
        while added:
            activity.heartbeat(progress)
            with transaction(self._engine) as session:
                added = add_messages(session, run_id, channels, assignment=assignment)
        self._refresh_statistics()

    def _refresh_statistics(self) -> None:
        with transaction(self._engine) as session:
            refresh_statistics(session)

    def _plan(self, run_id: UUID) -> Plan:
        with transaction(self._engine) as session:
            return plan_of(session, run_id)


def _resumed() -> Progress:
    details = activity.info().heartbeat_details
    return Progress.model_validate(details[0]) if details else Progress()
