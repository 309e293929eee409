"""Whether it helped, read when each window closes: on the real engine, with windows of seconds."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import update
from temporalio.service import RPCError

from activities.measuring import _look_again
from campaigns.registry import Registry
from db.engine import transaction
from db.figures import RunFigures, campaign_figures
from db.measurement import StillOpen
from db.tables import Outcome, Run
from domain.ids import measurement_workflow_id
from domain.message import Recipient
from domain.outcomes import Reading
from tests.fakes import a_person
from tests.stage import Stage

PEOPLE = 6


def owner(number: int) -> Recipient:
    return replace(a_person(number), subject=f"lock-{number}")


@pytest.fixture
def owners(stage: Stage) -> Stage:
    """Of a lock each; nobody reads the locks again before `stage.people.gate` is opened."""
    stage.people.recipients = [owner(number) for number in range(PEOPLE)]
    return stage


def some_check_their_lock(stage: Stage, run_id: UUID, people: int = 2) -> None:
    """A hundredth of a second after they were sent something."""
    sent = {message.id: message.recipient_id for message in stage.messages(run_id)}
    for attempt in stage.attempts(run_id):
        number = int(sent[attempt.message_id].removeprefix("person-"))
        if number < people:
            stage.people.done[f"lock-{number}"] = Reading(attempt.claimed_at + timedelta(milliseconds=10))


async def snapshot_taken(stage: Stage, run_id: UUID) -> None:
    """The gate is for those who read again."""
    await stage.until("the audience is taken", lambda: stage.run(run_id).targeted is not None)
    stage.people.gate.clear()


async def measured(stage: Stage, run_id: UUID) -> RunFigures:
    await stage.until("all outcomes are read", lambda: stage.run(run_id).measured_at is not None)
    with transaction(stage.engine) as session:
        return next(found for found in campaign_figures(session, "probe") if found.run_id == run_id)


def outcomes(stage: Stage, run_id: UUID) -> dict[str, str | None]:
    return {row.subject: row.outcome for row in stage.stored(Outcome, run_id=run_id)}


def test_each_subject_is_read_when_its_window_closes_and_the_figures_say_what_came_of_it(owners: Stage) -> None:
    stage = owners

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            started = await stage.start(measured_for_seconds=2)
            await snapshot_taken(stage, started.run_id)
            await stage.closed(started.run_id)
            some_check_their_lock(stage, started.run_id)
            stage.people.gate.set()
            figures = await measured(stage, started.run_id)
            assert figures.effectiveness
            assert figures.effectiveness.helped == 2
            assert figures.effectiveness.share == pytest.approx(2 / 6)
            assert sorted(name for asked in stage.people.asked_again for name in asked) == sorted(
                outcomes(stage, started.run_id)
            )
            handle = stage.client.get_workflow_handle(measurement_workflow_id(started.run_id))
            assert (await handle.result())["over"]

    asyncio.run(scenario())


def test_it_happens_though_every_process_was_restarted_in_between(owners: Stage) -> None:
    stage = owners

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            started = await stage.start(measured_for_seconds=3)
            await stage.all_are(started.run_id, state="delivered")
            await stage.until("windows are open", lambda: all(r.opens_at for r in stage.stored(Outcome)))
        some_check_their_lock(stage, started.run_id, people=5)
        closes = max(row.closes_at for row in stage.stored(Outcome) if row.closes_at)
        await stage.until("they have closed", lambda: datetime.now(UTC) > closes)
        assert set(outcomes(stage, started.run_id).values()) == {None}
        async with stage.working(as_another_process=True):
            figures = await measured(stage, started.run_id)
        assert figures.effectiveness
        assert figures.effectiveness.helped == 5

    asyncio.run(scenario())


def test_a_measurement_that_was_terminated_is_taken_up_by_sweep(owners: Stage) -> None:
    stage = owners

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            started = await stage.start(measured_for_seconds=1)
            await snapshot_taken(stage, started.run_id)
            await stage.closed(started.run_id)
            await stage.client.get_workflow_handle(measurement_workflow_id(started.run_id)).terminate("by mistake")
            with transaction(stage.engine) as session:
                session.execute(update(Run).values(created_at=datetime.now(UTC) - timedelta(hours=1)))
            stage.people.gate.set()
            await stage.sweep()
            assert (await measured(stage, started.run_id)).effectiveness

    asyncio.run(scenario())


def test_a_source_that_is_away_is_named_and_waited_for(owners: Stage) -> None:
    stage = owners

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            started = await stage.start(measured_for_seconds=1)
            await snapshot_taken(stage, started.run_id)
            stage.people.failure = "there is no table `locks`"
            stage.people.gate.set()
            await stage.closed(started.run_id)
            await stage.until("it says so", lambda: stage.run(started.run_id).measurement_reason is not None)
            assert stage.run(started.run_id).measurement_reason == "there is no table `locks`"
            stage.people.failure = None
            figures = await measured(stage, started.run_id)
            assert figures.effectiveness
            assert figures.effectiveness.waits_because is None

    asyncio.run(scenario())


def test_a_fault_of_the_campaigns_own_code_is_named_and_the_reading_goes_on_when_it_is_mended(owners: Stage) -> None:
    stage = owners
    whole, faults = stage.registry["probe"].read_again, ["a bug"]

    def read_again(people: object, subjects: Collection[str]) -> Mapping[str, Reading]:
        if faults:
            raise KeyError(faults[0])
        assert whole
        return whole(people, subjects)

    stage.registry = Registry({"probe": replace(stage.registry["probe"], read_again=read_again)})

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            started = await stage.start(measured_for_seconds=1)
            await stage.until("it says so", lambda: stage.run(started.run_id).measurement_reason is not None)
            reason = stage.run(started.run_id).measurement_reason
            assert reason == "the outcomes cannot be read (KeyError): see the worker's log"
            faults.clear()
            await measured(stage, started.run_id)

    asyncio.run(scenario())


def test_the_held_out_are_never_sent_anything_and_are_measured_all_the_same(stage: Stage) -> None:
    stage.people.recipients = [owner(number) for number in range(40)]

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            started = await stage.start(measured_for_seconds=2, holdout_percent=40)
            await snapshot_taken(stage, started.run_id)
            await stage.closed(started.run_id)
            some_check_their_lock(stage, started.run_id, people=40)
            stage.people.gate.set()
            figures = await measured(stage, started.run_id)
            held_out = {message.recipient_id for message in stage.messages(started.run_id, state="held_out")}
            called = {str(message.dedupe_id) for message, _ in stage.channels["fcm"].calls}
            assert len(held_out) == figures.held_out == 40 - len(called)
            assert not called & {str(message.id) for message in stage.messages(started.run_id, state="held_out")}
            assert stage.proof(started.run_id).balanced
            assert figures.lift
            assert (figures.lift.treated, figures.lift.held_out) == (len(called), len(held_out))
            assert (figures.lift.treated_share, figures.lift.held_out_share) == (1.0, 0.0)
            assert figures.lift.lift == 1.0

    asyncio.run(scenario())


def test_a_run_that_was_cancelled_before_anything_was_sent_has_nothing_to_measure(owners: Stage) -> None:
    stage = owners

    async def scenario() -> None:
        async with stage.working():
            stage.people.gate.clear()
            started = await stage.start(measured_for_seconds=1, valid_for_seconds=3600)
            await stage.cancel(started.run_id)
            stage.people.gate.set()
            await stage.closed(started.run_id)
            await stage.client.get_workflow_handle(measurement_workflow_id(started.run_id)).result()
            assert set(outcomes(stage, started.run_id).values()) <= {"not_sent"}
            assert stage.people.asked_again == []

    asyncio.run(scenario())


def test_a_run_that_measures_nothing_has_no_measurement(owners: Stage) -> None:
    stage = owners

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm")
            started = await stage.start()
            await stage.closed(started.run_id)
            with pytest.raises(RPCError, match="not found"):
                await stage.client.get_workflow_handle(measurement_workflow_id(started.run_id)).describe()
            assert outcomes(stage, started.run_id) == {}

    asyncio.run(scenario())


WEEK, HOUR = timedelta(days=7), timedelta(hours=1)
NOW = datetime(2026, 11, 16, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("unopened", "closes_in", "expected"),
    [
        (False, timedelta(days=3), timedelta(days=3)),
        (True, timedelta(days=3), HOUR),
        (True, None, HOUR),
        (False, timedelta(minutes=2), HOUR),
        (False, None, HOUR),
    ],
)
def test_windows_are_looked_at_as_they_close_and_hourly_at_most(
    *, unopened: bool, closes_in: timedelta | None, expected: timedelta
) -> None:
    awaited = StillOpen(unopened=unopened, closes_at=NOW + closes_in if closes_in else None, now=NOW)
    assert _look_again(awaited, WEEK) == expected


def test_windows_of_seconds_are_looked_at_every_second() -> None:
    assert _look_again(StillOpen(unopened=True, closes_at=None, now=NOW), timedelta(seconds=8)) == timedelta(seconds=1)
