"""What people say takes effect in runs that are under way, on the real engine."""

import asyncio

from activities.nudging import nudge
from db.engine import transaction
from db.erasure import erase
from db.unsubscribing import unsubscribe
from domain.tombstones import hash_in
from tests.db.scene import HASHER
from tests.fakes import a_person
from tests.stage import Stage

THEM, OTHER = "person-0000", "person-0001"


def test_an_unsubscribe_ends_what_waits_in_another_run_at_once(stage: Stage) -> None:
    """Put off for a week by a cap, and over a moment after the button is pressed."""
    stage.people.recipients = [a_person(number) for number in range(2)]

    async def scenario() -> None:
        stage.let_devices_acknowledge("fcm")
        async with stage.working():
            first = (await stage.start(cap=1)).run_id
            await stage.closed(first)
            second = (await stage.start(cap=1)).run_id
            await stage.all_are(second, hold_reason="frequency_cap")
            asked_by, waits = stage.message(first), stage.message(second)
            assert asked_by is not None
            assert waits is not None

            with transaction(stage.engine) as session:
                waiting = unsubscribe(session, asked_by.id, HASHER)
            assert waiting == [waits.id]
            await nudge(stage.client, waits.id, "look_again")

            assert await stage.told(waits.id) == "suppressed"
            [suppressed] = stage.messages(second, state="suppressed")
            assert (suppressed.recipient_id, suppressed.state_reason) == (THEM, "unsubscribed")
            assert [each.recipient_id for each in stage.messages(second, hold_reason="frequency_cap")] == [OTHER]
            assert len(stage.channels["fcm"].accepted) == 2
            await stage.cancel(second)
            assert stage.proof(second).balanced

    asyncio.run(scenario())


def test_an_erasure_ends_a_persons_workflows_and_the_run_comes_to_its_end(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(20)]

    async def scenario() -> None:
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=3600)).run_id
            await stage.all_are(run_id, state="sent")

            erased = await asyncio.to_thread(erase, stage.engine, HASHER, THEM, actor="test")
            [message_id] = erased.ended
            await nudge(stage.client, message_id, "look_again")

            assert await stage.told(message_id) == "sent"
            for attempt in stage.attempts(run_id):
                if attempt.message_id != message_id:
                    await stage.acknowledge(attempt.id)
            await stage.closed(run_id)
            proof = stage.proof(run_id)
            assert (proof.balanced, proof.states) == (True, {"sent": 1, "delivered": 19})
            assert [hash_in(each.recipient_id) is not None for each in stage.messages(run_id)].count(True) == 1

    asyncio.run(scenario())
