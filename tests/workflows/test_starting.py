"""How a run begins: once for each slot, with what was asked for, or with a clear no."""

import asyncio
from uuid import uuid4

import pytest
from pydantic import ValidationError
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError

from activities.orders import RunOrder
from activities.starting import BadKeyError, StartOrder, start_run
from campaigns.registry import UnknownCampaignError
from domain.ids import run_id_of
from tests.fakes import a_person
from tests.stage import Stage
from workflows.campaign_run import CampaignRun


def test_starting_a_slot_twice_is_one_run(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            first, second = await asyncio.gather(stage.start("monday"), stage.start("monday"))
            assert (first.run_id, first.workflow_id) == (second.run_id, second.workflow_id)
            assert sorted([first.already, second.already]) == [False, True]
            await stage.closed(first.run_id)
            again = await stage.start("monday")
            assert (again.already, again.run_id) == (True, first.run_id)
            assert len(stage.channels["fcm"].calls) == 1

    asyncio.run(scenario())


def test_without_a_key_the_same_parameters_within_a_minute_are_one_run_and_others_are_not(stage: Stage) -> None:
    async def scenario() -> None:
        orders = [StartOrder("probe", {"ttl_seconds": ttl}) for ttl in (60, 60, 61)]
        started = [await start_run(stage.client, stage.registry, order, stage.queue) for order in orders]
        minutes = {each.workflow_id[:-9] for each in started}
        if len(minutes) == 1:  # else the minute has just changed
            assert [each.already for each in started] == [False, True, False]
        for workflow_id in {each.workflow_id for each in started}:
            await stage.client.get_workflow_handle(workflow_id).terminate()

    asyncio.run(scenario())


@pytest.mark.parametrize("key", ["a b", "../x", "ä", "k" * 101, "a/b", "a\n"])
def test_a_key_that_is_not_usable_is_refused_before_anything_starts(stage: Stage, key: str) -> None:
    with pytest.raises(BadKeyError):
        asyncio.run(stage.start(key))


def test_a_campaign_that_is_not_there_is_refused_with_those_that_are(stage: Stage) -> None:
    order = StartOrder("lok_battery")
    with pytest.raises(UnknownCampaignError, match="there are: probe"):
        asyncio.run(start_run(stage.client, stage.registry, order, stage.queue))


def test_a_parameter_that_is_not_there_is_refused_by_its_name(stage: Stage) -> None:
    with pytest.raises(ValidationError, match="ttl_minutes"):
        asyncio.run(stage.start(ttl_minutes=5))


def test_a_run_of_a_campaign_that_the_worker_does_not_know_fails_and_says_so(stage: Stage) -> None:
    """Started past our own door, as from Temporal's web UI."""
    workflow_id = f"run:gone-{uuid4().hex}"

    async def scenario() -> None:
        async with stage.working():
            order = RunOrder(campaign="gone")
            with pytest.raises(WorkflowFailureError) as raised:
                await stage.client.execute_workflow(CampaignRun.run, order, id=workflow_id, task_queue=stage.queue)
            failed = raised.value.cause
            assert isinstance(failed, ActivityError)
            assert "there is no campaign 'gone'" in str(failed.cause)

    asyncio.run(scenario())
    assert not stage.has_run(run_id_of(workflow_id))


def test_a_source_that_fails_for_good_fails_the_run_with_its_reason(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]
    stage.people.failure = "there is no table `locks`"

    async def scenario() -> None:
        async with stage.working():
            started = await stage.start()
            with pytest.raises(WorkflowFailureError) as raised:
                await stage.client.get_workflow_handle(started.workflow_id).result()
            assert "there is no table `locks`" in str(raised.value.cause)
            run = stage.run(started.run_id)
            assert (run.state, run.closed_at is None) == ("failed", False)
            assert "there is no table `locks`" in (run.state_reason or "")

    asyncio.run(scenario())
