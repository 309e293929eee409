import asyncio
from collections.abc import Callable
from typing import cast
from uuid import UUID, uuid4

from temporalio.client import Client
from temporalio.service import RPCStatusCode

from api.parts import Temporal
from api.relay import TRIES, Nudge, Relay, RelayCounts, acknowledged, clicked, run_changed, sweep_now
from tests.api.temporal_double import TemporalDouble


def relay_to(temporal: TemporalDouble, **bounds: float) -> Relay:
    async def connect() -> Client:
        return cast("Client", await temporal.connect())

    return Relay(Temporal(connect).client, first_pause_seconds=0, **bounds)  # type: ignore[arg-type] # bounds are named


def relayed(relay: Relay, *nudges: Nudge) -> RelayCounts:
    async def put_all() -> None:
        async with relay.running():
            for nudge in nudges:
                relay.put(nudge)

    asyncio.run(put_all())
    return relay.counts


def test_each_nudge_becomes_its_signal() -> None:
    temporal, message_id = TemporalDouble(), uuid4()

    counts = relayed(
        relay_to(temporal), acknowledged(message_id), clicked(message_id), run_changed("run:lock-1"), sweep_now()
    )

    assert counts == RelayCounts(sent=4)
    assert sorted(temporal.signals.queue) == sorted(
        [
            (f"message:{message_id}", "acknowledged"),
            (f"message:{message_id}", "clicked"),
            ("run:lock-1", "run_changed"),
            ("sweep", "trigger"),
        ]
    )
    assert temporal.connected == 1


def test_a_busy_temporal_is_asked_again() -> None:
    temporal = TemporalDouble(errors=[RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.UNAVAILABLE])

    counts = relayed(relay_to(temporal), run_changed("run:lock-1"))

    assert counts == RelayCounts(sent=1, retried=2)
    assert list(temporal.signals.queue) == [("run:lock-1", "run_changed")]


def test_a_workflow_that_has_ended_needs_no_nudge() -> None:
    temporal = TemporalDouble(errors=[RPCStatusCode.NOT_FOUND] * 2)

    assert relayed(relay_to(temporal), acknowledged(uuid4()), sweep_now()) == RelayCounts(sent=2)


def test_a_temporal_that_stays_away_is_given_up() -> None:
    temporal = TemporalDouble(away=True)

    counts = relayed(relay_to(temporal), run_changed("run:lock-1"))

    assert counts == RelayCounts(retried=TRIES - 1, given_up=1)
    assert temporal.connected == TRIES


def test_an_error_that_nobody_expected_does_not_stop_the_sender() -> None:
    temporal = TemporalDouble(errors=[RPCStatusCode.PERMISSION_DENIED])

    counts = relayed(relay_to(temporal, sent_at_once=1), run_changed("run:lock-1"), run_changed("run:lock-2"))

    assert counts == RelayCounts(sent=1, given_up=1)
    assert list(temporal.signals.queue) == [("run:lock-2", "run_changed")]


def test_what_there_is_no_room_for_is_dropped_and_counted() -> None:
    temporal = TemporalDouble()

    counts = relayed(relay_to(temporal, waiting_at_most=3, sent_at_once=1), *[run_changed("run:lock-1")] * 10)

    assert counts.sent == temporal.signals.qsize() == 3
    assert counts.dropped == 7


def test_a_nudge_outside_the_relays_life_is_dropped_and_counted() -> None:
    relay = relay_to(TemporalDouble())

    relay.put(run_changed("run:lock-1"))
    relayed(relay)
    relay.put(run_changed("run:lock-1"))

    assert relay.counts == RelayCounts(dropped=2)


def test_the_end_does_not_wait_for_ever() -> None:
    stuck = Nudge("stuck", "nobody", lambda _: asyncio.Event().wait())

    counts = relayed(
        relay_to(TemporalDouble(), sent_at_once=1, drain_seconds=0.05),
        stuck,
        run_changed("run:1"),
        run_changed("run:2"),
    )

    assert counts == RelayCounts(dropped=3)


def test_signals_are_sent_side_by_side_and_no_more_than_allowed() -> None:
    under_way, most, everybody = 0, 0, 4

    async def counted(_: Client) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if most == everybody:
            all_there.set()
        await all_there.wait()
        under_way -= 1

    all_there = asyncio.Event()
    relay = relay_to(TemporalDouble(), sent_at_once=everybody)

    assert relayed(relay, *[Nudge("counted", "x", counted)] * 12) == RelayCounts(sent=12)
    assert most == everybody


def test_nudges_may_come_from_any_thread() -> None:
    temporal, message_ids = TemporalDouble(), [uuid4() for _ in range(200)]
    relay = relay_to(temporal)

    async def put_from_threads() -> None:
        put: Callable[[UUID], None] = lambda message_id: relay.put(acknowledged(message_id))  # noqa: E731 - named for its type
        async with relay.running():
            await asyncio.gather(*(asyncio.to_thread(put, message_id) for message_id in message_ids))

    asyncio.run(put_from_threads())
    assert {target for target, _ in temporal.signals.queue} == {f"message:{each}" for each in message_ids}
