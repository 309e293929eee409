"""Runs on the real engine."""

import asyncio

from channels.interface import Outgoing
from tests.fakes import a_person
from tests.stage import Stage


def test_a_run_in_which_everybody_acknowledges_is_delivered_and_balances(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(30)]

    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        def acknowledge(message: Outgoing, _: str) -> None:
            loop.call_soon_threadsafe(lambda: loop.create_task(stage.acknowledge(message.message_id)))

        stage.channels["fcm"].behave = acknowledge
        async with stage.working():
            started = await stage.start()
            await stage.closed(started.run_id)
        proof = stage.proof(started.run_id)
        assert proof.balanced
        assert proof.states == {"delivered": 30}
        assert len(stage.channels["fcm"].accepted) == 30
        assert not stage.channels["mqtt"].accepted

    asyncio.run(scenario())
