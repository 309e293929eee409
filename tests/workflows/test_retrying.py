"""A run over what failed in another one, on the real engine."""

import asyncio
from uuid import uuid4

import pytest

from activities.retrying import check_same_retry, retry_order
from activities.starting import Started, StartOrder, start_and_write_down
from channels.interface import MessageRejectedError, Outgoing
from db.engine import transaction
from db.tables import AuditEntry
from domain.problems import NothingFailedError, WrongStateError
from domain.states import RunState
from tests.fakes import a_person
from tests.stage import Stage


async def retried(stage: Stage, started: Started, key: str | None = None) -> Started:
    def order() -> StartOrder:
        with transaction(stage.engine) as session:
            return retry_order(session, stage.registry, stage.run(started.run_id), key, "test")

    wanted = await asyncio.to_thread(order)
    again = await start_and_write_down(stage.client, stage.engine, stage.registry, wanted, stage.queue)
    with transaction(stage.engine) as session:
        check_same_retry(session, again, wanted)
    return again


def test_what_failed_is_retried_by_exactly_one_run_that_reaches_exactly_those(stage: Stage) -> None:
    stage.people.recipients = [a_person(number, subject=f"lock-{number}") for number in range(60)]

    def refuse(message: Outgoing, _: str) -> None:
        if message.body[-1] in "037":
            raise MessageRejectedError("too_long", "the text is too long")

    async def scenario() -> None:
        for channel in stage.channels.values():
            channel.behave = refuse
        async with stage.working():
            first = await stage.start(ttl_seconds=1, holdout_percent=10, measured_for_seconds=2)
            assert (await stage.closed(first.run_id)).state is RunState.CLOSED
            failed = stage.messages(first.run_id, state="failed")
            assert len(failed) > 5
            calls = len(stage.channels["fcm"].calls)
            stage.let_devices_acknowledge("fcm")
            scans = len(stage.people.scans)
            again = await retried(stage, first)
            twice = await retried(stage, first)
            assert (twice.run_id, twice.already, again.already) == (again.run_id, True, False)
            run = await stage.closed(again.run_id)
            assert (run.retry_of, run.slot) == (first.run_id, f"retry-of-{str(first.run_id)[:8]}")
            assert run.targeted == len(failed)
            assert len(stage.people.scans) == scans
            names = {each.recipient_id for each in failed}
            assert {each.recipient_id for each in stage.messages(again.run_id, state="delivered")} == names
            assert len(stage.channels["fcm"].calls) == calls + len(failed)
            assert stage.proof(again.run_id).balanced
            assert stage.run(again.run_id).measured_at is None
            [entry] = stage.stored(AuditEntry, run_id=again.run_id)
            assert entry.details["retry_of"] == str(first.run_id)
            with pytest.raises(NothingFailedError):
                await retried(stage, again)
            other = await retried(stage, first, key=f"other-{uuid4().hex}")
            assert other.run_id != again.run_id
            assert (await stage.closed(other.run_id)).targeted == len(failed)

    asyncio.run(scenario())


def test_a_run_that_is_not_over_is_not_retried(stage: Stage) -> None:
    stage.people.recipients = [a_person(0)]

    async def scenario() -> None:
        async with stage.working():
            first = await stage.start()
            await stage.all_are(first.run_id, state="sent")
            with pytest.raises(WrongStateError, match="wait until nobody is awaited any more"):
                await retried(stage, first)

    asyncio.run(scenario())
