"""An operator's verdict on the real engine: what is retried goes out, in a run that had ended too."""

import asyncio

from channels.interface import OutcomeUnknownError, Outgoing
from db.verdicts import judge
from domain.states import RunState
from domain.verdicts import Verdict
from tests.db.scene import HASHER
from tests.fakes import a_person
from tests.stage import Stage


def test_a_closed_run_takes_up_what_is_to_be_retried_and_ends_again(stage: Stage) -> None:
    stage.people.recipients = [a_person(number) for number in range(6)]
    fcm = stage.channels["fcm"]
    fcm.retries_unknown = False

    def cut(message: Outgoing, _: str) -> None:
        if message.body[-1] in "024":
            raise OutcomeUnknownError("cut", "the connection broke")

    async def scenario() -> None:
        fcm.behave = cut
        async with stage.working():
            run_id = (await stage.start(ttl_seconds=1)).run_id
            assert (await stage.closed(run_id)).state is RunState.CLOSED
            unknown = stage.messages(run_id, state="unknown")
            assert len(unknown) == 3
            stage.let_devices_acknowledge("fcm")
            verdicts = [Verdict.RETRY, Verdict.RETRY, Verdict.WAS_SENT]
            for message, verdict in zip(unknown, verdicts, strict=True):
                await asyncio.to_thread(judge, stage.engine, HASHER, run_id, message.id, verdict, actor="test")
            assert stage.run(run_id).closed_at is None
            assert stage.proof(run_id).balanced
            await stage.sweep()
            for message in unknown[:2]:
                assert await stage.told(message.id) == "delivered"
            stage.backdate_run(run_id)  # Sweep leaves the young ones to their own workflow
            await stage.sweep()
            await stage.closed(run_id)
        proof = stage.proof(run_id)
        assert proof.balanced
        assert proof.states == {"delivered": 2, "sent": 1, "expired": 3}
        repeated = [message.dedupe_id for message, _ in fcm.calls]
        assert sorted(repeated.count(message.id) for message in stage.messages(run_id)) == [1, 1, 1, 1, 2, 2]

    asyncio.run(scenario())
