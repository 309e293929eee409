"""A person says no, on the real database."""

from uuid import UUID, uuid4

from db.engine import transaction
from db.tables import Suppression
from db.unsubscribing import unsubscribe
from domain.message import Recipient
from domain.persons import PERSON
from domain.tombstones import tombstone
from tests.db.scene import HASHER, Scene, in_threads

BEA = Recipient("bea", person_key="person-1", addresses={"fcm": ("token-1", "token-2"), "mqtt": ("phone-1",)})
ALL = {
    (PERSON, HASHER(PERSON, "person-1")),
    ("fcm", HASHER("fcm", "token-1")),
    ("fcm", HASHER("fcm", "token-2")),
    ("mqtt", HASHER("mqtt", "phone-1")),
}


def say_no(scene: Scene, message_id: UUID) -> list[UUID]:
    with transaction(scene.engine) as session:
        return unsubscribe(session, message_id, HASHER)


def listed(scene: Scene) -> set[tuple[str, str]]:
    return {(row.channel, row.address_hash) for row in scene.stored(Suppression)}


def test_the_person_and_every_address_of_the_message_get_nothing_more(scene: Scene) -> None:
    run_id = scene.opened(BEA)
    [message_id] = scene.ids(run_id)

    say_no(scene, message_id)

    assert listed(scene) == ALL
    rows = scene.stored(Suppression)
    assert {(row.reason, row.source) for row in rows} == {("unsubscribed", "person")}
    assert [(row.channel, row.run_id) for row in rows if row.run_id] == [(PERSON, run_id)], "one person, one complaint"


def test_a_device_without_an_owner_is_taken_by_its_addresses_and_counted_once(scene: Scene) -> None:
    run_id = scene.opened(Recipient("lock-1", addresses={"fcm": ("token-1",), "mqtt": ("phone-1",)}))
    [message_id] = scene.ids(run_id)

    assert say_no(scene, message_id) == []

    assert {channel for channel, _ in listed(scene)} == {"fcm", "mqtt"}
    assert [row.run_id for row in scene.stored(Suppression) if row.run_id] == [run_id]


def test_their_messages_in_other_runs_under_way_are_due_at_once(scene: Scene) -> None:
    [asked_by], [other] = scene.ids(scene.opened(BEA)), scene.ids(scene.opened(BEA))
    scene.send(asked_by)

    assert say_no(scene, asked_by) == [other]


def test_it_may_be_repeated_and_raced(scene: Scene) -> None:
    messages = [scene.ids(scene.opened(BEA))[0] for _ in range(4)]

    in_threads(8, lambda number: say_no(scene, messages[number % 4]))

    assert listed(scene) == ALL


def test_the_link_of_an_erased_message_still_works_as_far_as_it_can(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(BEA))
    hashed = HASHER(PERSON, "person-1")
    scene.set_message(message_id, person_key=tombstone(hashed), addresses={})

    say_no(scene, message_id)

    assert listed(scene) == {(PERSON, hashed)}


def test_the_link_of_a_message_that_is_gone_for_good_changes_nothing(scene: Scene) -> None:
    assert say_no(scene, uuid4()) == []
    assert listed(scene) == set()
