"""Everybody at once for a rehearsal, and one after the other for a run: the same is known of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event

from db import cast as reading
from db.cast import read_cast
from db.engine import transaction
from db.situation import look
from db.tables import Consent, Suppression
from domain.persons import PERSON
from domain.rehearsal import Role
from domain.rules import Cap, ConsentRule
from tests.db.scene import HASHER, Scene, a_plan
from tests.fakes import a_person

PLAN = a_plan(caps=(Cap(count=2, days=7),), consent=ConsentRule(purpose="reminders"))


def cast_of(scene: Scene, run_id: UUID, starts_in: timedelta = timedelta(minutes=1)) -> list[Role]:
    with transaction(scene.engine) as session:
        at = datetime.now(UTC) + starts_in
        return read_cast(session, run_id, HASHER, plan=PLAN, at=at, drawn_as=run_id)


@pytest.fixture
def run_id(scene: Scene) -> UUID:
    """Twelve people: some had messages before, some said no, some addresses are dead, one is in a zone of their own."""
    before = scene.opened(*(a_person(number) for number in range(4)), plan=PLAN.model_copy(update={"priority": 7}))
    for message_id in scene.ids(before)[:3]:
        scene.send(message_id)
    people = [a_person(number) for number in range(10)]
    people += [replace(a_person(10), person_key=None), replace(a_person(11), zone="Asia/Dhaka")]
    said = {"purpose": "reminders", "source": "person"}
    with transaction(scene.engine) as session:
        session.add_all(
            [
                Suppression(channel="fcm", address_hash=HASHER("fcm", "token:person-0004"), reason="gone"),
                Suppression(
                    channel="mqtt", address_hash=HASHER("mqtt", "device-0005"), reason="complaint", source="operator"
                ),
                Suppression(channel=PERSON, address_hash=HASHER(PERSON, "person-0006"), reason="left", source="person"),
                Consent(person_hash=HASHER(PERSON, "person-0007"), channel="*", granted=False, **said),
                Consent(person_hash=HASHER(PERSON, "person-0007"), channel="fcm", granted=True, **said),
            ]
        )
    return scene.opened(*people, plan=PLAN)


def test_a_cast_is_what_each_of_its_messages_is_alone(
    scene: Scene, run_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 5)
    cast = cast_of(scene, run_id)
    assert len(cast) == 12
    with transaction(scene.engine) as session:
        for role, message_id in zip(cast, scene.ids(run_id), strict=True):
            alone = look(session, message_id, HASHER)
            assert alone is not None
            assert (role.message, role.person, role.person_key) == (alone.message, alone.person, alone.person_key)
    people = {role.recipient_id: role.person for role in cast}
    assert sum(bool(person.recent_sends) for person in people.values()) == 3
    assert people["person-0004"].rejected == {"fcm": {"token:person-0004"}}
    assert people["person-0005"].suppressed == {"mqtt": {"device-0005": "complaint"}}
    assert people["person-0006"].suppressed_because == "left"
    assert people["person-0007"].consents == {"*": False, "fcm": True}


def test_what_was_sent_after_the_time_of_the_rehearsal_counts_for_no_cap(scene: Scene, run_id: UUID) -> None:
    assert not any(role.person.recent_sends for role in cast_of(scene, run_id, starts_in=-timedelta(days=1)))


def test_a_cast_takes_as_many_statements_as_it_has_pages_not_people(scene: Scene, run_id: UUID) -> None:
    statements: list[str] = []
    event.listen(scene.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    cast_of(scene, run_id)
    assert len([each for each in statements if each.startswith("SELECT")]) == 5
