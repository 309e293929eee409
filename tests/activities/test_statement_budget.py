"""How often a send asks the database: each statement costs about a third of a millisecond of the worker's CPU."""

from sqlalchemy import event

from activities.advance import Delivery
from activities.orders import MessageOrder
from tests.db.scene import HASHER, Scene
from tests.fakes import FakeChannel, FakeLinks, a_person

CLAIM_AND_RECORD = 10
ACKNOWLEDGEMENT = 6


def test_a_send_and_its_acknowledgement_stay_within_their_statements(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    channel = FakeChannel("fcm")
    asked: list[str] = []
    event.listen(scene.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    Delivery(scene.engine, {"fcm": channel}, FakeLinks(), HASHER).advance(
        MessageOrder(message_id=message_id, channel="fcm")
    )
    assert len(asked) <= CLAIM_AND_RECORD, asked
    asked.clear()
    [(sent, _, _)] = channel.accepted
    scene.acknowledge(sent.message_id)
    assert len(asked) <= ACKNOWLEDGEMENT, asked
