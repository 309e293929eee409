"""Recorded histories, replayed: a change that runs under way could not follow fails here (see `record.py`)."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from activities.orders import MessageOrder
from tests.replay.record import HISTORIES, NOBODY
from workflows.workers import WORKFLOWS

RECORDED = sorted(HISTORIES.glob("*.json"))


def load(path: Path) -> WorkflowHistory:
    known = json.loads(path.read_text())
    return WorkflowHistory.from_json(known["workflow_id"], known["history"])


def replay(history: WorkflowHistory, *workflows: type) -> None:
    replayer = Replayer(
        workflows=workflows,
        workflow_runner=UnsandboxedWorkflowRunner(),
        data_converter=pydantic_data_converter,
    )
    asyncio.run(replayer.replay_workflow(history))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_history_can_still_be_followed(path: Path) -> None:
    replay(load(path), *WORKFLOWS)


def test_every_workflow_has_a_recorded_history() -> None:
    recorded = {
        load(path).events[0].workflow_execution_started_event_attributes.workflow_type.name for path in RECORDED
    }
    assert recorded == {workflow_class.__name__ for workflow_class in WORKFLOWS}


@workflow.defn(name="RecipientDelivery")
class ChangedDelivery:
    """As the loop would be if somebody let it wait before it asks."""

    @workflow.run
    async def run(self, order: MessageOrder) -> str:
        await workflow.sleep(1)
        return "done"


def test_a_loop_that_was_changed_cannot_follow_so_the_test_above_can_fail() -> None:
    with pytest.raises(NondeterminismError):
        replay(load(HISTORIES / "recipient_acknowledged.json"), ChangedDelivery)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_history_names_no_machine_and_no_person(path: Path) -> None:
    """A process is called `4711@host`, a stack trace has paths; a fake's addresses begin with `token:` or `device-`."""
    written = json.loads(path.read_text())
    texts = list(texts_of(written))
    assert NOBODY in texts
    found = [text for text in texts if re.search(r"\d+@\w|^/|File \"|token:|person-|device-", text)]
    assert found == []


def texts_of(part: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Every text in it, payloads decoded."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "data" and isinstance(value, str):
                yield base64.b64decode(value).decode()
            else:
                yield from texts_of(value)
    elif isinstance(part, list):
        for each in part:
            yield from texts_of(each)
    elif isinstance(part, str):
        yield part
