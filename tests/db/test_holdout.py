"""Who is held out of a run, from its rows to its states."""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from db.audience import add_messages, assign, store_rows
from db.decisions import decide
from db.engine import transaction
from db.tables import Message
from domain.holdout import is_held_out
from domain.ladder import Done, Wait
from domain.message import Recipient
from domain.states import HoldReason, MessageState
from tests.db.scene import HASHER, Scene, a_plan
from tests.fakes import a_person

HALF = a_plan(holdout_percent=50)


def owner(number: int, lock: str) -> Recipient:
    return replace(a_person(number), subject=lock)


def a_town(people: int) -> list[Recipient]:
    """Every person owns a lock; every fifth shares the next one's too, and every tenth has two of their own."""
    alone = [owner(number, f"lock-{number}") for number in range(people)]
    shared = [owner(number, f"lock-{number + 1}") for number in range(0, people - 1, 5)]
    second = [owner(number, f"lock-{number}-b") for number in range(0, people, 10)]
    return alone + shared + second


def arms(scene: Scene, run_id: UUID) -> dict[str, bool]:
    return {message.recipient_id: message.held_out for message in scene.stored(Message, run_id=run_id)}


def test_no_lock_has_owners_in_both_arms_and_about_half_of_them_are_held_out(scene: Scene) -> None:
    town = a_town(300)
    held_out = arms(scene, scene.snapshot(*town, plan=HALF))
    owners = defaultdict(set)
    for row in town:
        owners[row.subject].add(held_out[row.id])
    assert all(len(arms) == 1 for arms in owners.values())
    assert 100 < sum(held_out.values()) < 200


def test_whoever_shares_nothing_is_drawn_by_their_own_name_in_each_run_anew(scene: Scene) -> None:
    everybody = [owner(number, f"lock-{number}") for number in range(60)]
    drawn = {slot: arms(scene, scene.snapshot(*everybody, plan=HALF, slot=slot)) for slot in ("monday", "tuesday")}
    for slot, held_out in drawn.items():
        assert held_out == {name: is_held_out(f"run:probe-{slot}", name, 50) for name in held_out}
    assert drawn["monday"] != drawn["tuesday"]


def test_rows_without_a_subject_do_not_make_everybody_one_group(scene: Scene) -> None:
    held_out = arms(scene, scene.snapshot(*(a_person(number) for number in range(60)), plan=HALF))
    assert set(held_out.values()) == {True, False}


def test_nobody_is_held_out_unless_it_is_asked_for(scene: Scene) -> None:
    assert not any(arms(scene, scene.snapshot(*a_town(50))).values())


def test_a_second_try_of_the_snapshot_assigns_the_others_as_the_first_would_have(scene: Scene) -> None:
    town = a_town(120)
    run_id = scene.queued(plan=HALF)
    with transaction(scene.engine) as session:
        store_rows(session, run_id, town)
        add_messages(session, run_id, ["fcm"], limit=40, assignment=assign(session, run_id))
    with transaction(scene.engine) as session:
        while add_messages(session, run_id, ["fcm"], limit=40, assignment=assign(session, run_id)):
            pass
    with transaction(scene.engine) as session:
        assignment = assign(session, run_id)
    held_out = arms(scene, run_id)
    assert held_out == {name: assignment.holds_out(name) for name in held_out}


@pytest.fixture
def held_out(scene: Scene) -> tuple[UUID, UUID]:
    """A run of one who is held out, and their message."""
    run_id = scene.opened(owner(0, "lock"), plan=a_plan(holdout_percent=99.9999999))
    [message_id] = scene.ids(run_id)
    return run_id, message_id


def test_the_held_out_end_where_they_would_have_been_sent_and_nothing_is_claimed(
    scene: Scene, held_out: tuple[UUID, UUID]
) -> None:
    run_id, message_id = held_out
    decision = scene.decide(message_id)
    assert (decision.step, decision.claim) == (Done(MessageState.HELD_OUT), None)
    message = scene.message(message_id)
    assert (message.state, message.due_at, message.hold_reason) == (MessageState.HELD_OUT, None, None)
    assert message.ended_at
    assert scene.attempts(message_id) == []
    assert scene.proof(run_id).balanced


def test_the_held_out_wait_for_a_channel_that_is_not_ready_as_everybody_does(
    scene: Scene, held_out: tuple[UUID, UUID]
) -> None:
    """An outage that ends in a cancel must not leave the held out in the comparison and take the others out."""
    _, message_id = held_out
    with transaction(scene.engine) as session:
        decision = decide(session, message_id, HASHER, send_on="fcm", not_ready_for=timedelta(seconds=30))
    assert decision
    assert isinstance(decision.step, Wait)
    assert decision.step.reason is HoldReason.PROVIDER_BUSY
    assert scene.message(message_id).state == MessageState.PLANNED
    assert scene.decide(message_id).step == Done(MessageState.HELD_OUT)


def test_the_held_out_are_looked_at_in_a_pause_and_end_after_it(scene: Scene, held_out: tuple[UUID, UUID]) -> None:
    run_id, message_id = held_out
    scene.set(run_id, state="paused")
    assert not isinstance(scene.decide(message_id).step, Done)
    scene.set(run_id, state="running")
    assert scene.decide(message_id).step == Done(MessageState.HELD_OUT)


def test_a_held_out_message_that_was_sent_by_hand_is_seen_by_the_proof(
    scene: Scene, held_out: tuple[UUID, UUID]
) -> None:
    run_id, message_id = held_out
    scene.set_message(message_id, held_out=False)
    scene.send(message_id)
    scene.set_message(message_id, held_out=True)
    assert [found.expected for found in scene.proof(run_id).differences] == [MessageState.HELD_OUT]
