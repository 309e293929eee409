"""Campaigns that aim at the same people at the same moment, on the real engine."""

import asyncio
from collections import Counter
from dataclasses import replace
from uuid import UUID, uuid4

from activities.starting import Started, StartOrder, start_and_write_down
from campaigns.registry import Registry
from db.tables import AuditEntry, Deferral
from tests.fakes import a_person, a_probe
from tests.stage import Stage

PEOPLE = 12


async def start(stage: Stage, campaign: str, *, bypass: bool = False) -> Started:
    parameters = {"cap": 1, "ttl_seconds": 600}
    order = StartOrder(campaign, parameters, uuid4().hex, actor="test", bypass_frequency_caps=bypass)
    return await start_and_write_down(stage.client, stage.engine, stage.registry, order, stage.queue)


async def settled(stage: Stage, run_id: UUID) -> None:
    def everybody() -> bool:
        rows = stage.messages(run_id)
        return len(rows) == PEOPLE and all(row.ended_at or row.hold_reason == "frequency_cap" for row in rows)

    await stage.until("everybody has been handed over or is put off", everybody)


def reached(stage: Stage) -> list[int]:
    """How many messages each person was handed over."""
    by_device = Counter(address for _, address, _ in stage.channels["fcm"].accepted)
    assert len(by_device) == PEOPLE
    return list(by_device.values())


def test_two_campaigns_at_the_same_moment_share_a_cap_of_one_and_a_bypass_passes_it(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(PEOPLE)]
    stage.registry = Registry({"probe": a_probe(), "rival": replace(a_probe(), name="rival")})

    async def scenario() -> None:
        async with stage.working():
            stage.let_devices_acknowledge("fcm", "mqtt")
            rivals = await asyncio.gather(start(stage, "probe"), start(stage, "rival"))
            for each in rivals:
                await settled(stage, each.run_id)
            assert reached(stage) == [1] * PEOPLE
            put_off = [row for each in rivals for row in stage.messages(each.run_id) if row.hold_reason]
            assert len(put_off) == PEOPLE
            assert sorted(deferred(stage)) == sorted(row.id for row in put_off)

            third = await start(stage, "probe", bypass=True)
            await stage.closed(third.run_id)
            assert reached(stage) == [2] * PEOPLE
            assert "bypass_frequency_caps" in [row.action for row in stage.stored(AuditEntry, run_id=third.run_id)]
            for each in rivals:
                await stage.cancel(each.run_id)
                await stage.closed(each.run_id)
                assert stage.proof(each.run_id).balanced

    asyncio.run(scenario())


def deferred(stage: Stage) -> list[UUID]:
    return [row.message_id for row in stage.stored(Deferral, reason="frequency_cap")]
