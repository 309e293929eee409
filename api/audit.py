"""Who did what."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from api.keys import Viewer
from api.paging import PageSize, next_page
from api.parts import PartsOf
from api.problems import problems
from db.audit import AuditView, list_audit
from db.engine import transaction
from db.runs import find_run

router = APIRouter(prefix="/api/v1/audit", tags=["Control"], responses=problems(401, 403, 404, 422, 503))

Word = Annotated[str, Query(pattern="^[!-~]{1,255}$")]


class AuditPage(BaseModel):
    model_config = ConfigDict(frozen=True)

    entries: list[AuditView]
    next: str | None
    """The address of the next page."""


@router.get("")
def index(
    *,
    request: Request,
    parts: PartsOf,
    _: Viewer,
    run: Word | None = None,
    actor: Word | None = None,
    action: Word | None = None,
    before: Annotated[int, Query(ge=1, le=2**63 - 1)] | None = None,
    limit: PageSize = 100,
) -> AuditPage:
    """The newest first, as sentences and as they were written; nothing of it can be changed.

    `run` is any of a run's names, `actor` a key's id; `before` is the last entry of the page before.
    """
    with transaction(parts.engine) as session:
        run_id = find_run(session, run).id if run is not None else None
        found = list_audit(session, limit, run_id=run_id, actor=actor, action=action, before=before)
    more = {"run": run, "actor": actor, "action": action, "limit": limit}
    last = more | {"before": found[-1].id} if len(found) == limit else None
    return AuditPage(entries=found, next=next_page(request, last))
