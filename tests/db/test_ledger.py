"""The proof balances, and it fails when a row is not what its attempts and facts make of it."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from db.engine import transaction
from db.ledger import progress
from db.proof import prove
from db.tables import Acknowledgement
from domain.states import FailureKind
from tests.db.scene import UNKNOWN, Scene, a_plan, failed
from tests.fakes import a_person


def a_mixed_run(scene: Scene) -> dict[str, UUID]:
    """One message in each state that a run under way can have."""
    run_id = scene.opened(*(a_person(number) for number in range(6)), plan=a_plan(retries_unknown=False))
    ids = scene.ids(run_id)
    _, flying, sent, delivered, unknown, refused = ids
    scene.claim(flying)
    scene.send(sent)
    scene.acknowledge(scene.send(delivered))
    scene.send(unknown, outcome=UNKNOWN)
    scene.send(refused, outcome=failed(FailureKind.MESSAGE_REJECTED))
    scene.send(refused, "mqtt", outcome=failed(FailureKind.MESSAGE_REJECTED))
    names = ("planned", "sending", "sent", "delivered", "unknown", "failed")
    return {"run": run_id, **dict(zip(names, ids, strict=True))}


def test_a_run_under_way_balances_with_one_message_in_each_state(scene: Scene) -> None:
    ids = a_mixed_run(scene)
    proof = scene.proof(ids["run"])
    assert (proof.balanced, proof.targeted, proof.rows, proof.unfinished) == (True, 6, 6, 3)
    assert proof.states == dict.fromkeys(("planned", "sending", "sent", "delivered", "unknown", "failed"), 1)


@pytest.mark.parametrize(
    ("broken", "change", "expected"),
    [
        ("sent", "update drumbeat.messages set state = 'planned' where id = :id", "sent"),
        ("sending", "delete from drumbeat.attempts where message_id = :id", "planned"),
        ("delivered", "update drumbeat.messages set acknowledged_at = null where id = :id", "sent"),
        ("unknown", "update drumbeat.attempts set state = 'failed' where message_id = :id", "failed"),
        ("failed", "update drumbeat.messages set state = 'delivered' where id = :id", "failed"),
        ("planned", "update drumbeat.messages set acknowledged_at = clock_timestamp() where id = :id", "delivered"),
        ("sent", "update drumbeat.messages set state = 'withdrawn', ended_at = now() where id = :id", "sent"),
        ("planned", "update drumbeat.messages set state = 'sent', ended_at = now() where id = :id", "suppressed"),
    ],
)
def test_a_row_that_was_changed_by_hand_is_listed_with_what_it_should_be(
    scene: Scene, broken: str, change: str, expected: str
) -> None:
    ids = a_mixed_run(scene)
    with transaction(scene.engine) as session:
        session.execute(text(change), {"id": ids[broken]})
    proof = scene.proof(ids["run"])
    assert not proof.balanced
    assert [(each.message_id, each.expected) for each in proof.differences] == [(ids[broken], expected)]
    assert proof.different == 1


def test_a_message_that_vanished_is_missed(scene: Scene) -> None:
    ids = a_mixed_run(scene)
    scene.erase(ids["planned"])
    proof = scene.proof(ids["run"])
    assert (proof.balanced, proof.targeted, proof.rows) == (False, 6, 5)


def test_a_message_that_was_smuggled_in_is_seen(scene: Scene) -> None:
    ids = a_mixed_run(scene)
    scene.set(ids["run"], targeted=5)
    assert not scene.proof(ids["run"]).balanced


def test_a_run_without_an_audience_yet_is_not_balanced(scene: Scene) -> None:
    proof = scene.proof(scene.queued())
    assert (proof.balanced, proof.targeted, proof.rows) == (False, None, 0)


def test_an_empty_audience_balances(scene: Scene) -> None:
    assert scene.proof(scene.snapshot()).balanced


def test_a_proof_in_the_middle_of_the_traffic_sees_each_message_with_its_own_attempts(scene: Scene) -> None:
    """Messages and attempts are read in one statement: read apart, a record in between looks like a difference."""
    run_id = scene.opened(*(a_person(number) for number in range(60)))
    proofs = []
    with scene.meanwhile(lambda: [scene.send(message_id) for message_id in scene.ids(run_id)]) as traffic:
        while not traffic.done():
            proofs.append(scene.proof(run_id))
    traffic.result()
    assert [proof.differences for proof in proofs if not proof.balanced] == []
    assert len(proofs) > 1


def test_the_proof_reads_large_runs_in_pages(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.proof._PAGE", 2)
    ids = a_mixed_run(scene)
    assert scene.proof(ids["run"]).balanced
    for name in ("sent", "delivered", "failed"):
        scene.set_message(ids[name], state="expired", ended_at=datetime.now(UTC), acknowledged_at=None)
    assert scene.proof(ids["run"]).different == 3


def test_a_proof_that_computes_for_long_between_its_pages_is_not_ended_by_the_database(scene: Scene) -> None:
    run_id = scene.opened(a_person(1))
    with transaction(scene.engine) as session:
        prove(session, run_id)
        assert session.scalar(text("show idle_in_transaction_session_timeout")) == "0"
    with transaction(scene.engine) as session:
        assert session.scalar(text("show idle_in_transaction_session_timeout")) == "3s"


def test_progress_counts_messages_attempts_and_who_is_held(scene: Scene) -> None:
    ids = a_mixed_run(scene)
    scene.set(ids["run"], released_up_to=0)
    scene.decide(ids["planned"])
    with transaction(scene.engine) as session:
        stand = progress(session, ids["run"])
    assert stand.states == dict.fromkeys(("planned", "sending", "sent", "delivered", "unknown", "failed"), 1)
    assert stand.attempts == {
        "fcm": {"sending": 1, "sent": 1, "delivered": 1, "unknown": 1, "failed": 1},
        "mqtt": {"failed": 1},
    }
    assert (stand.held, stand.awaiting, stand.handed_over) == ({"not_released": 1}, 1, 2)


def test_the_proof_hears_a_fact_that_its_message_has_not(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id)
    with transaction(scene.engine) as session:
        session.add(Acknowledgement(attempt_id=attempt_id, received_at=datetime.now(UTC), late=False))
    proof = scene.proof(run_id)
    assert not proof.balanced
    assert [each.expected for each in proof.differences] == ["delivered"]
