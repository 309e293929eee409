"""How often a send asks the database: each statement costs about a third of a millisecond of the worker's CPU."""

from typing import Any

import pytest
from sqlalchemy import event

from activities.advance import Delivery
from activities.orders import MessageOrder
from db.engine import transaction
from db.tables import Consent
from domain.persons import ANY_CHANNEL, PERSON
from tests.db.scene import HASHER, Scene, a_plan
from tests.fakes import FakeChannel, FakeLinks, a_person

CLAIM_AND_RECORD = 10
ACKNOWLEDGEMENT = 6


@pytest.mark.parametrize(
    ("rules", "more"),
    [
        ({}, 0),
        ({"window": {"opens": 0, "closes": 24}}, 0),
        ({"caps": [{"count": 1, "days": 7}]}, 1),
        ({"caps": [{"count": 1, "days": 7}], "bypass_frequency_caps": True}, 0),
        ({"consent": {"purpose": "news", "opt_in": True}}, 1),
    ],
    ids=["no rules", "a window", "caps", "caps bypassed", "consent"],
)
def test_a_send_and_its_acknowledgement_stay_within_their_statements(
    scene: Scene, rules: dict[str, Any], more: int
) -> None:
    with transaction(scene.engine) as session:
        person = HASHER(PERSON, "person-0000")
        session.add(Consent(person_hash=person, purpose="news", channel=ANY_CHANNEL, granted=True, source="import"))
    [message_id] = scene.ids(scene.opened(a_person(0), plan=a_plan(**rules)))
    channel = FakeChannel("fcm")
    asked: list[str] = []
    event.listen(scene.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    # On a clock that stands still no machine is too slow to hand it over.
    delivery = Delivery(scene.engine, {"fcm": channel}, FakeLinks(), HASHER, monotonic=lambda: 0.0)
    delivery.advance(MessageOrder(message_id=message_id, channel="fcm"))
    assert len(asked) <= CLAIM_AND_RECORD + more, asked
    asked.clear()
    [(sent, _, _)] = channel.accepted
    scene.acknowledge(sent.message_id)
    assert len(asked) <= ACKNOWLEDGEMENT, asked
