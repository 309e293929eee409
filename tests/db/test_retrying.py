"""The audience of a run that retries another one: exactly those whose message failed there."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete

from db.audience import add_messages, close_snapshot
from db.engine import transaction
from db.erasure import erase
from db.retrying import copy_failed, has_failed
from db.tables import AudienceRow
from domain.states import FailureKind
from tests.db.scene import HASHER, Scene, failed
from tests.fakes import a_person


def with_failed(scene: Scene, people: int = 6) -> UUID:
    """Every second message has failed on both rungs."""
    run_id = scene.opened(*(a_person(number, subject=f"lock-{number}") for number in range(people)))
    for place, message_id in enumerate(scene.ids(run_id)):
        if place % 2:
            scene.send(message_id)
        else:
            scene.send(message_id, outcome=failed(FailureKind.MESSAGE_REJECTED))
            scene.send(message_id, "mqtt", outcome=failed(FailureKind.MESSAGE_REJECTED))
    return run_id


def copied(scene: Scene, run_id: UUID, *, twice: bool = False) -> tuple[UUID, dict[str, int]]:
    """The new run, and whom it leaves out."""
    again, after = scene.queued(slot=uuid4().hex), 0
    left_out: dict[str, int] = {}
    while True:
        for _ in range(2 if twice else 1):
            with transaction(scene.engine) as session:
                page = copy_failed(session, again, run_id, after=after)
        if page is None:
            break
        after, left_out = page.up_to, {**left_out, **page.left_out}
    with transaction(scene.engine) as session:
        while add_messages(session, again, ["fcm", "mqtt"]):
            pass
        close_snapshot(session, again, left_out, {})
    return again, left_out


@pytest.mark.parametrize("page", [1, 2, 500])
def test_exactly_the_failed_are_copied_page_by_page_and_a_page_may_come_twice(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr("db.retrying._PAGE", page)
    run_id = with_failed(scene)
    again, left_out = copied(scene, run_id, twice=True)
    wanted = [scene.message(each) for each in scene.ids(run_id) if scene.message(each).state == "failed"]
    made = [scene.message(each) for each in scene.ids(again)]
    assert [each.recipient_id for each in made] == [each.recipient_id for each in wanted]
    assert [each.addresses for each in made] == [each.addresses for each in wanted]
    assert {each.state for each in made} == {"planned"}
    assert (len(made), left_out, scene.run(again).targeted) == (3, {}, 3)
    assert scene.proof(again).balanced


def test_one_whose_rows_were_erased_is_left_out_and_counted(scene: Scene) -> None:
    run_id = with_failed(scene)
    gone = next(scene.message(each) for each in scene.ids(run_id) if scene.message(each).state == "failed")
    with transaction(scene.engine) as session:
        of_person = AudienceRow.run_id == run_id, AudienceRow.recipient_id == gone.recipient_id
        session.execute(delete(AudienceRow).where(*of_person))
    again, left_out = copied(scene, run_id)
    assert (scene.run(again).targeted, left_out) == (2, {"erased": 1})


def test_a_tombstone_is_nobody_who_could_be_sent_to_again(scene: Scene) -> None:
    run_id = with_failed(scene)
    gone = next(scene.message(each) for each in scene.ids(run_id) if scene.message(each).state == "failed")
    erase(scene.engine, HASHER, gone.recipient_id, actor="cli:ada")
    again, left_out = copied(scene, run_id)
    assert (scene.run(again).targeted, left_out) == (2, {"erased": 1})
    assert scene.proof(run_id).balanced


def test_a_run_says_whether_anything_failed(scene: Scene) -> None:
    run_id, other = with_failed(scene), scene.opened(a_person(0))
    with transaction(scene.engine) as session:
        assert (has_failed(session, run_id), has_failed(session, other)) == (True, False)
