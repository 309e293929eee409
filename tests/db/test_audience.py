"""The snapshot's rows and messages: in pages that may come twice, one message for each person."""

from dataclasses import replace

import pytest
from sqlalchemy import insert

from db.audience import add_messages, close_snapshot, store_rows
from db.batches import recipient_of
from db.engine import transaction
from db.tables import AudienceRow, Device, Message
from domain.message import Recipient
from domain.states import RunState
from tests.db.scene import Scene, a_plan
from tests.fakes import a_person


def a_row(subject: str, **changes: object) -> Recipient:
    facts = {"locks": [subject], "first": subject}
    return replace(a_person(0, subject=subject), facts=facts, **changes)  # type: ignore[arg-type] # by name


def store(scene: Scene, run_id: object, *rows: Recipient) -> None:
    with transaction(scene.engine) as session:
        store_rows(session, run_id, rows)  # type: ignore[arg-type] # an id of the scene


def add(scene: Scene, run_id: object, limit: int = 500) -> int:
    with transaction(scene.engine) as session:
        return add_messages(session, run_id, ["fcm", "mqtt"], limit)  # type: ignore[arg-type] # an id of the scene


def test_the_rows_of_one_person_become_one_message_with_all_of_their_facts_and_addresses(scene: Scene) -> None:
    run_id = scene.queued()
    store(scene, run_id, a_row("lock-1", zone=None), a_row("lock-2", addresses={"fcm": ("other",)}, zone="Asia/Tokyo"))
    assert add(scene, run_id) == 1
    [message] = scene.stored(Message, run_id=run_id)
    assert message.facts == {"locks": ["lock-1", "lock-2"], "first": "lock-1"}
    assert message.addresses == {"fcm": ["token:person-0000", "other"], "mqtt": ["device-0000"]}
    assert (message.zone, message.acknowledges) == ("Asia/Tokyo", True)


def test_a_page_that_comes_twice_is_there_once(scene: Scene) -> None:
    run_id = scene.queued()
    page = [a_person(number) for number in range(5)]
    store(scene, run_id, *page)
    store(scene, run_id, *page)
    assert len(scene.stored(AudienceRow, run_id=run_id)) == 5


def test_positions_run_from_1_to_n_without_a_gap_also_after_a_worker_died_in_between(scene: Scene) -> None:
    run_id = scene.queued()
    store(scene, run_id, *(a_person(number) for number in range(25)))
    assert add(scene, run_id, limit=10) == 10
    first = {message.id: message.position for message in scene.stored(Message)}
    assert [add(scene, run_id, limit=10), add(scene, run_id, limit=10), add(scene, run_id, limit=10)] == [10, 5, 0]
    positions = {message.id: message.position for message in scene.stored(Message)}
    assert sorted(positions.values()) == list(range(1, 26))
    assert first.items() <= positions.items()


def test_positions_are_shuffled_the_same_way_each_time_so_that_a_canary_is_a_fair_sample(scene: Scene) -> None:
    orders = []
    for _ in range(2):
        run_id = scene.snapshot(*(a_person(number) for number in range(50)))
        rows = sorted(scene.stored(Message, run_id=run_id), key=lambda message: message.position)
        orders.append([row.recipient_id for row in rows])
    assert orders[0] == orders[1]
    assert orders[0] != sorted(orders[0])


def test_zones_that_a_recipient_may_be_in_are_united_over_their_rows(scene: Scene) -> None:
    rows = [
        replace(a_person(0, subject=lock), zone_candidates=zones)
        for lock, zones in (("a", ("Asia/Dhaka", "Asia/Tokyo")), ("b", ("Asia/Tokyo", "UTC")), ("c", ()))
    ]
    [message] = scene.stored(Message, run_id=scene.snapshot(*rows))
    assert message.zone_candidates == ["Asia/Dhaka", "Asia/Tokyo", "UTC"]
    assert recipient_of(message).zone_candidates == ("Asia/Dhaka", "Asia/Tokyo", "UTC")


def add_device(scene: Scene, owner: str, token: str | None, client: str | None) -> None:
    row = {"id": f"{owner}-{token}-{client}", "owner_id": owner, "platform": "android"}
    with transaction(scene.engine) as session:
        session.execute(insert(Device).values(**row, fcm_token=token, mqtt_client_id=client))


def test_a_persons_registered_devices_are_added_after_their_own_addresses(scene: Scene) -> None:
    add_device(scene, "person-0000", "from-registry", "client-7")
    add_device(scene, "somebody-else", "not-theirs", None)
    run_id = scene.snapshot(a_person(0, device=False))
    [message] = scene.stored(Message, run_id=run_id)
    assert message.addresses == {"fcm": ["token:person-0000", "from-registry"], "mqtt": ["client-7"]}
    assert message.acknowledges


def test_a_device_on_a_channel_that_the_plan_does_not_have_adds_nothing(scene: Scene) -> None:
    add_device(scene, "person-0000", None, "client-7")
    run_id = scene.queued(plan=a_plan("fcm"))
    store(scene, run_id, a_person(0, device=False))
    with transaction(scene.engine) as session:
        add_messages(session, run_id, ["fcm"])
    [message] = scene.stored(Message, run_id=run_id)
    assert (message.addresses, message.acknowledges) == ({"fcm": ["token:person-0000"]}, False)


def test_a_device_that_cannot_be_reached_does_not_silence_the_one_that_the_source_knows(scene: Scene) -> None:
    add_device(scene, "person-0000", None, None)
    run_id = scene.snapshot(a_person(0))
    [message] = scene.stored(Message, run_id=run_id)
    assert message.acknowledges


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.QUEUED])
def test_the_end_of_the_snapshot_lets_the_run_go_unless_it_is_paused(scene: Scene, state: RunState) -> None:
    run_id = scene.queued()
    scene.set(run_id, state=state)
    store(scene, run_id, a_person(0), a_person(1))
    add(scene, run_id)
    with transaction(scene.engine) as session:
        assert close_snapshot(session, run_id, {"fresh": 3}, {"unreadable": 1}) == 2
    run = scene.run(run_id)
    assert run.state == (RunState.PAUSED if state is RunState.PAUSED else RunState.RUNNING)
    assert (run.targeted, run.left_out, run.noted) == (2, {"fresh": 3}, {"unreadable": 1})


def test_the_number_targeted_is_counted_once_and_for_all(scene: Scene) -> None:
    run_id = scene.snapshot(a_person(0), a_person(1))
    scene.erase(scene.ids(run_id)[0])
    with transaction(scene.engine) as session:
        close_snapshot(session, run_id, {"later": 1}, {})
    run = scene.run(run_id)
    assert (run.targeted, run.left_out) == (2, {})
