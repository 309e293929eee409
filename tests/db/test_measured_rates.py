"""What past runs have shown of a channel, counted from their rows."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, update

from db.engine import transaction
from db.measured_rates import LEAST_BUSY, measured_rates
from db.tables import Attempt, Message, Run
from domain.measured import LEAST_MEASURED, ChannelRecord
from domain.states import FailureKind
from tests.db.scene import UNKNOWN, Scene, a_plan, failed
from tests.fakes import a_person

TEN_SECONDS = timedelta(seconds=10)


def rates(scene: Scene, campaign: str = "probe") -> dict[str, ChannelRecord]:
    with transaction(scene.engine) as session:
        return measured_rates(session, campaign, ["fcm", "mqtt"])


def played(scene: Scene) -> UUID:
    """25 people: 2 refused, 1 unknown, 22 taken, of whom 11 acknowledge after 10 s and 4 click after a minute."""
    run_id = scene.opened(*(a_person(n) for n in range(25)), plan=a_plan("fcm", retries_unknown=False))
    ids = scene.ids(run_id)
    for message_id in ids[:2]:
        scene.send(message_id, outcome=failed(FailureKind.MESSAGE_REJECTED))
    scene.send(ids[2], outcome=UNKNOWN)
    for number, message_id in enumerate(ids[3:]):
        attempt_id = scene.send(message_id)
        if number % 2:
            scene.acknowledge(attempt_id)
        else:
            scene.silence(message_id)
            scene.decide(message_id, None)
    with transaction(scene.engine) as session:
        answered = Attempt.acknowledged_at.is_not(None)
        session.execute(update(Attempt).where(answered).values(acknowledged_at=Attempt.claimed_at + TEN_SECONDS))
        clicked = update(Message).where(Message.id.in_(ids[3:7]))
        session.execute(clicked.values(clicked_at=func.clock_timestamp() + timedelta(minutes=1)))
    return run_id


def test_refusals_answers_and_clicks_are_counted_with_what_they_are_a_share_of(scene: Scene) -> None:
    played(scene)
    record = rates(scene)["fcm"]
    assert (record.tried, record.failed, record.unknown) == (25, {FailureKind.MESSAGE_REJECTED: 2}, 1)
    assert (record.to_acknowledge, record.acknowledged) == (22, 11)
    assert record.acknowledged_after is not None
    assert record.acknowledged_after.median_seconds == pytest.approx(10)
    assert record.acknowledged_after.p90_seconds == pytest.approx(10)
    assert (record.to_click, record.clicked) == (22, 4)
    assert record.clicked_after is not None
    assert record.clicked_after.median_seconds > 59
    assert record.of_this_campaign
    assert record.per_second is None
    assert "mqtt" not in rates(scene)


def test_a_campaign_without_a_past_learns_from_the_others(scene: Scene) -> None:
    played(scene)
    record = rates(scene, "another")["fcm"]
    assert record.tried == 25 > LEAST_MEASURED
    assert not record.of_this_campaign


def test_what_is_awaited_still_is_no_silence(scene: Scene) -> None:
    run_id = scene.opened(a_person(1))
    scene.send(scene.ids(run_id)[0])
    assert rates(scene)["fcm"].to_acknowledge == 0


def test_runs_of_long_ago_do_not_count(scene: Scene) -> None:
    run_id = played(scene)
    scene.set(run_id, created_at=func.clock_timestamp() - timedelta(days=91))
    assert rates(scene) == {}


def test_how_fast_we_are_is_what_the_busiest_ten_seconds_have_shown(scene: Scene) -> None:
    run_id = scene.opened(a_person(1))
    message_id = scene.ids(run_id)[0]
    at = scene.run(run_id).created_at.replace(second=20, microsecond=0)
    common = {"message_id": message_id, "run_id": run_id, "channel": "fcm", "address": "token", "state": "sent"}
    with transaction(scene.engine) as session:
        session.add_all(
            Attempt(id=UUID(int=number), number=number, claimed_at=at + timedelta(milliseconds=number), **common)
            for number in range(1, LEAST_BUSY + 51)
        )
    assert rates(scene)["fcm"].per_second == 15.0


def test_a_run_that_has_hardly_begun_is_no_past(scene: Scene) -> None:
    scene.opened(a_person(1))
    assert rates(scene) == {}
    assert scene.stored(Run)
