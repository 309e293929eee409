"""Nudges: a workflow is told that something changed, by an id. A lost one does no harm, so none is ever waited for."""

from uuid import UUID

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from domain.ids import message_workflow_id

SWEEP_SCHEDULE = "sweep"


async def nudge(client: Client, message_id: UUID, signal: str) -> bool:
    """`acknowledged`, `clicked` or `look_again`. False: its workflow has ended, or never was, which is no error."""
    return await _signal(client, message_workflow_id(message_id), signal)


async def nudge_run(client: Client, workflow_id: str) -> bool:
    """The run's row has changed: its workflow reads it now and not in a minute."""
    return await _signal(client, workflow_id, "run_changed")


async def wake_sweep(client: Client) -> None:
    """After a resume: those who were held go on now, not within the minute."""
    try:
        await client.get_schedule_handle(SWEEP_SCHEDULE).trigger()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _signal(client: Client, workflow_id: str, signal: str) -> bool:
    try:
        await client.get_workflow_handle(workflow_id).signal(signal)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True
