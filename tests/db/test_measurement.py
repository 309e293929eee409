"""Windows of subjects: opened by what was sent, read when they have closed, settled once."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from db.audience import store_rows
from db.engine import transaction
from db.measurement import (
    close_measurement,
    closed_windows,
    list_open_measurements,
    note_measurement,
    open_windows,
    still_open,
    store_before,
    store_outcomes,
)
from db.tables import Attempt, Outcome
from domain.message import Recipient
from domain.outcomes import Reading
from domain.plan import Plan
from domain.states import FailureKind
from tests.db.scene import UNKNOWN, Scene, a_plan, failed
from tests.fakes import a_person

DAY = timedelta(days=1)
MEASURED = a_plan(measured_for_seconds=DAY.total_seconds())
BEFORE = Reading(datetime(2026, 1, 5, tzinfo=UTC))


def owner(number: int, lock: str = "lock") -> Recipient:
    return replace(a_person(number), subject=lock)


def a_run(scene: Scene, *owners: Recipient, plan: Plan = MEASURED) -> UUID:
    run_id = scene.opened(*owners, plan=plan)
    with transaction(scene.engine) as session:
        store_before(session, run_id, {each.subject: BEFORE for each in owners})
    return run_id


def look(scene: Scene, run_id: UUID) -> None:
    after: str | None = ""
    while after is not None:
        with transaction(scene.engine) as session:
            after = open_windows(session, run_id, DAY, after, limit=2)


def read(scene: Scene, run_id: UUID, readings: Mapping[str, Reading]) -> list[str]:
    """The subjects that were read."""
    with transaction(scene.engine) as session:
        windows = closed_windows(session, run_id, 100)
        store_outcomes(session, run_id, windows, readings)
    return [window.subject for window in windows]


def age(scene: Scene, run_id: UUID, by: timedelta) -> None:
    """As if all windows had opened so much earlier."""
    with transaction(scene.engine) as session:
        for row in session.query(Outcome).filter_by(run_id=run_id):
            row.opens_at, row.closes_at = (at and at - by for at in (row.opens_at, row.closes_at))


def outcome_of(scene: Scene, run_id: UUID, subject: str = "lock") -> Outcome:
    [row] = scene.stored(Outcome, run_id=run_id, subject=subject)
    return row


def message_of(scene: Scene, run_id: UUID, recipient: int) -> UUID:
    return next(each for each in scene.ids(run_id) if scene.message(each).recipient_id == f"person-{recipient:04}")


def test_how_a_subject_stood_at_the_snapshot_stays_when_the_page_comes_twice(scene: Scene) -> None:
    run_id = a_run(scene, owner(0))
    with transaction(scene.engine) as session:
        store_before(session, run_id, {"lock": Reading(datetime(2026, 5, 5, tzinfo=UTC))})
    row = outcome_of(scene, run_id)
    assert (row.before_at, row.before_readable, row.arm) == (BEFORE.at, True, "treated")


def test_no_window_opens_before_anything_is_sent(scene: Scene) -> None:
    run_id = a_run(scene, owner(0))
    look(scene, run_id)
    assert outcome_of(scene, run_id).opens_at is None
    with transaction(scene.engine) as session:
        assert still_open(session, run_id).unopened


def test_a_window_opens_with_the_first_hand_over_and_lasts_as_long_as_the_plan_says(scene: Scene) -> None:
    run_id = a_run(scene, owner(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id)
    look(scene, run_id)
    row, [attempt] = outcome_of(scene, run_id), scene.attempts(message_id)
    assert (row.opens_at, row.closes_at, row.sent) == (attempt.claimed_at, attempt.claimed_at + DAY, True)


def test_of_two_owners_the_first_hand_over_counts(scene: Scene) -> None:
    run_id = a_run(scene, owner(0), owner(1))
    first, second = scene.ids(run_id)
    scene.send(first)
    scene.send(second)
    scene.rewind(second, timedelta(hours=3))
    look(scene, run_id)
    assert outcome_of(scene, run_id).opens_at == scene.attempts(second)[0].claimed_at


def test_a_try_that_is_under_way_or_was_put_off_opens_none_yet(scene: Scene) -> None:
    run_id = a_run(scene, owner(0), owner(1))
    first, second = scene.ids(run_id)
    scene.claim(first)
    scene.send(second, outcome=failed(FailureKind.BUSY, 60))
    look(scene, run_id)
    assert outcome_of(scene, run_id).opens_at is None


@pytest.mark.parametrize("outcome", [failed(FailureKind.MESSAGE_REJECTED), UNKNOWN])
def test_tries_that_came_to_nothing_open_one_when_all_has_ended_and_are_not_called_sent(
    scene: Scene, outcome: object
) -> None:
    run_id = a_run(scene, replace(owner(0), addresses={"fcm": ("token",)}), plan=MEASURED)
    [message_id] = scene.ids(run_id)
    while scene.message(message_id).ended_at is None:
        scene.rewind(message_id, timedelta(hours=2))
        scene.send(message_id, outcome=outcome)  # type: ignore[arg-type] # one of the two above
    look(scene, run_id)
    row = outcome_of(scene, run_id)
    assert row.opens_at == scene.attempts(message_id)[0].claimed_at
    assert not row.sent


def test_a_subject_whose_owners_could_not_be_sent_anything_is_settled_at_once(scene: Scene) -> None:
    run_id = a_run(scene, replace(owner(0), addresses={}))
    [message_id] = scene.ids(run_id)
    scene.decide(message_id)
    look(scene, run_id)
    row = outcome_of(scene, run_id)
    assert (row.outcome, row.opens_at) == ("not_sent", None)
    assert row.read_at


def test_a_subject_whose_people_were_all_erased_keeps_nobody_waiting(scene: Scene) -> None:
    run_id = a_run(scene, owner(0))
    scene.erase(scene.ids(run_id)[0])
    look(scene, run_id)
    assert outcome_of(scene, run_id).outcome == "not_sent"


def test_the_window_of_the_held_out_opens_when_they_would_have_been_sent_something(scene: Scene) -> None:
    plan = a_plan(measured_for_seconds=60, holdout_percent=99.9999999)
    run_id = a_run(scene, owner(0), plan=plan)
    [message_id] = scene.ids(run_id)
    scene.decide(message_id)
    look(scene, run_id)
    row = outcome_of(scene, run_id)
    assert (row.arm, row.opens_at, row.sent) == ("held_out", scene.message(message_id).ended_at, False)


def test_a_subject_with_owners_in_both_arms_says_so(scene: Scene) -> None:
    run_id = a_run(scene, owner(0), owner(1))
    first, second = scene.ids(run_id)
    scene.set_message(second, held_out=True)
    scene.send(first)
    scene.decide(second)
    look(scene, run_id)
    assert outcome_of(scene, run_id).arm == "both"


def test_a_subject_is_read_when_its_own_window_has_closed_and_once(scene: Scene) -> None:
    run_id = a_run(scene, owner(0, "early"), owner(1, "late"))
    for message_id in scene.ids(run_id):
        scene.send(message_id)
    scene.rewind(message_of(scene, run_id, 0), DAY)
    look(scene, run_id)
    assert read(scene, run_id, {"early": Reading(), "late": Reading()}) == ["early"]
    assert read(scene, run_id, {}) == []
    age(scene, run_id, DAY)
    assert read(scene, run_id, {}) == ["late"]
    assert [outcome_of(scene, run_id, lock).outcome for lock in ("early", "late")] == ["not_helped", "gone"]


def test_what_is_read_is_stored_with_what_it_means(scene: Scene) -> None:
    run_id = a_run(scene, owner(0))
    scene.send(scene.ids(run_id)[0])
    look(scene, run_id)
    age(scene, run_id, DAY)
    opened = outcome_of(scene, run_id).opens_at
    assert opened
    read(scene, run_id, {"lock": Reading(opened + timedelta(hours=2))})
    row = outcome_of(scene, run_id)
    assert (row.outcome, row.after_at) == ("helped", opened + timedelta(hours=2))


def test_a_try_that_turns_out_to_have_been_sent_after_all_counts_as_sent(scene: Scene) -> None:
    run_id = a_run(scene, replace(owner(0), addresses={"fcm": ("token",)}), plan=MEASURED)
    [message_id] = scene.ids(run_id)
    while scene.message(message_id).ended_at is None:
        scene.rewind(message_id, timedelta(hours=2))
        scene.send(message_id, outcome=UNKNOWN)
    look(scene, run_id)
    age(scene, run_id, DAY * 2)
    with transaction(scene.engine) as session:
        session.execute(update(Attempt).where(Attempt.message_id == message_id).values(state="sent"))
    assert not outcome_of(scene, run_id).sent
    read(scene, run_id, {})
    assert outcome_of(scene, run_id).sent


def test_a_measurement_closes_when_the_run_is_closed_and_all_is_read(scene: Scene) -> None:
    run_id = a_run(scene, owner(0))
    scene.send(scene.ids(run_id)[0])
    look(scene, run_id)

    def closes() -> bool:
        with transaction(scene.engine) as session:
            return close_measurement(session, run_id)

    assert not closes()
    scene.set(run_id, closed_at=datetime.now(UTC))
    assert not closes()
    age(scene, run_id, DAY)
    read(scene, run_id, {})
    assert closes()
    first = scene.run(run_id).measured_at
    assert closes()
    assert scene.run(run_id).measured_at == first


def test_a_measurement_is_open_until_it_is_closed(scene: Scene) -> None:
    run_id, other = a_run(scene, owner(0)), scene.opened(owner(1))

    def open_ones() -> list[UUID]:
        with transaction(scene.engine) as session:
            return [each.run_id for each in list_open_measurements(session, timedelta())]

    assert open_ones() == [run_id]
    scene.set(run_id, measured_at=datetime.now(UTC))
    assert open_ones() == []
    assert scene.run(other).measured_at is None


def test_why_it_waits_is_noted_and_forgotten_with_the_next_reading(scene: Scene) -> None:
    run_id = a_run(scene, owner(0))
    with transaction(scene.engine) as session:
        note_measurement(session, run_id, "there is no table `locks`")
    assert scene.run(run_id).measurement_reason == "there is no table `locks`"
    read(scene, run_id, {})
    assert scene.run(run_id).measurement_reason is None


def test_rows_of_a_run_that_is_not_measured_are_left_alone(scene: Scene) -> None:
    run_id = scene.queued()
    with transaction(scene.engine) as session:
        store_rows(session, run_id, [owner(0)])
        store_before(session, run_id, {})
    assert scene.stored(Outcome) == []
