"""A new run over exactly those whose message failed in another one."""

from pydantic import ValidationError
from sqlalchemy.orm import Session

from activities.starting import KeyUsedOtherwiseError, Started, StartOrder
from campaigns.registry import Registry
from db.retrying import has_failed
from db.runs import RunView, get_run, has_run
from domain.problems import NothingFailedError, ProblemError, WrongStateError


class ParametersUnfitError(ProblemError):
    def __init__(self, campaign: str, names: str) -> None:
        super().__init__(
            f"{campaign} has changed since this run: it does not take its parameters any more ({names}); "
            "start a new run of it"
        )


def retry_order(session: Session, registry: Registry, run: RunView, key: str | None, actor: str) -> StartOrder:
    """The same campaign and parameters. Asked for twice it is one run; another `key` makes another.

    Raises WrongStateError, NothingFailedError, ParametersUnfitError and UnknownCampaignError.
    """
    if run.closed_at is None:
        raise WrongStateError("retry what failed in", run.state, "wait until nobody is awaited any more")
    if not has_failed(session, run.id):
        raise NothingFailedError(run.id)
    try:
        registry.parameters(run.campaign, run.parameters)
    except ValidationError as error:
        names = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise ParametersUnfitError(run.campaign, names) from error
    slot = key or f"retry-of-{str(run.id)[:8]}"
    return StartOrder(run.campaign, run.parameters, slot, actor=actor, retry_of=run.id)


def check_same_retry(session: Session, started: Started, order: StartOrder) -> None:
    """A key that has started something else must not look like a start. Raises KeyUsedOtherwiseError."""
    if started.already and has_run(session, started.workflow_id):
        run = get_run(session, started.run_id)
        if run.retry_of != order.retry_of:
            raise KeyUsedOtherwiseError(run.id, "another audience")
