"""Whether the worker of this host does its work: what a container's health check asks, since a worker has no HTTP."""

import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from activities.queues import CORE
from db.migrate import alembic_config
from db.tables import SCHEMA
from domain.problems import ProblemError

ANSWER_SECONDS = 5
"""How long each server is waited for."""
POLLED_WITHIN = timedelta(minutes=3)
"""A poll lasts a minute at most, and Temporal remembers pollers for five: who is silent for longer works no more."""


class WrongVersionError(ProblemError):
    def __init__(self, found: Iterable[str], wanted: Iterable[str]) -> None:
        super().__init__(
            f"the database's tables are of version {_listed(found)}, this program is of {_listed(wanted)}: run "
            "`drumbeat migrate` of the newer of the two"
        )


class DatabaseRefusesError(ProblemError):
    def __init__(self, error: SQLAlchemyError) -> None:
        super().__init__(f"PostgreSQL (DATABASE_URL) does not say of which version its tables are: {error}")


class NoWorkerError(ProblemError):
    def __init__(self, host: str, queue: str, others: Iterable[str]) -> None:
        super().__init__(
            f"Temporal knows no worker of this host ({host}) on the task queue {queue}; of others: {_listed(others)}. "
            "The worker's log says why: `drumbeat worker`"
        )


def check_version(engine: Engine) -> None:
    """Raises WrongVersionError unless the database's tables are those of this program."""
    wanted = ScriptDirectory.from_config(alembic_config()).get_heads()
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
            found = context.get_current_heads()
    except SQLAlchemyError as error:
        raise DatabaseRefusesError(error) from error
    if set(found) != set(wanted):
        raise WrongVersionError(found, wanted)


async def check_worker(client: Client, queue: str = CORE, host: str | None = None) -> str:
    """Raises NoWorkerError unless a worker of this host asks Temporal for work; returns its identity."""
    host = host or socket.gethostname()
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    polling = [poller.identity for poller in answer.pollers if _polls(poller)]
    ours = [identity for identity in polling if _lives(identity, host)]
    if not ours:
        raise NoWorkerError(host, queue, polling)
    return ours[0]


def _polls(poller: PollerInfo) -> bool:
    return datetime.now(UTC) - poller.last_access_time.ToDatetime(UTC) < POLLED_WITHIN


def _lives(identity: str, host: str) -> bool:
    """The SDK's own identity is process id @ host name. What was killed is known to Temporal for a while longer."""
    pid, _, its_host = identity.partition("@")
    if its_host != host or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
