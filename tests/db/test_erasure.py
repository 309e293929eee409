"""A person's erasure on the real database: nobody is named any more, and every ledger still balances."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import UUID

import pytest

from db import control
from db.audience import store_rows
from db.decisions import decide
from db.engine import transaction
from db.erasure import AudienceBeingTakenError
from db.outcomes import record
from db.tables import (
    AuditEntry,
)
from domain.ladder import UNSETTLED_FOR
from domain.states import FailureKind
from tests.db.erased import LOCK, NAME, OTHER, THEM, TOKEN, erase_them, everything_stored, their_message
from tests.db.scene import HASHER, SENT, UNKNOWN, Scene, failed


def nothing(_: Scene, __: UUID) -> None: ...


def hold(scene: Scene, message_id: UUID) -> None:
    control.pause(scene.engine, scene.message(message_id).run_id, "cli:ada")
    scene.decide(message_id)


def second_rung(scene: Scene, message_id: UUID) -> None:
    scene.send(message_id)
    scene.silence(message_id)
    scene.send(message_id, "mqtt")


def expire(scene: Scene, message_id: UUID) -> None:
    second_rung(scene, message_id)
    scene.silence(message_id)
    scene.decide(message_id, None)


def fail(scene: Scene, message_id: UUID) -> None:
    for channel in ("fcm", "mqtt"):
        scene.send(message_id, channel, failed(FailureKind.MESSAGE_REJECTED))


WAYS: Mapping[str, Callable[[Scene, UUID], object]] = {
    "opened": nothing,
    "held": hold,
    "busy": lambda scene, message_id: scene.send(message_id, outcome=failed(FailureKind.BUSY)),
    "sent": lambda scene, message_id: scene.send(message_id),
    "second rung": second_rung,
    "delivered": lambda scene, message_id: scene.acknowledge(scene.send(message_id)),
    "expired": expire,
    "unknown": lambda scene, message_id: scene.send(message_id, outcome=UNKNOWN),
    "failed": fail,
}


def reach(scene: Scene, state: str) -> UUID:
    """A run in which they are brought to a state, and somebody else waits."""
    if state == "unopened":
        return scene.snapshot(THEM, OTHER)
    run_id = scene.opened(THEM, OTHER)
    WAYS[state](scene, next(each for each in scene.ids(run_id) if scene.message(each).recipient_id == NAME))
    return run_id


@pytest.mark.parametrize(
    ("state", "ends_as"),
    [
        ("unopened", ("withdrawn", "erased")),
        ("opened", ("withdrawn", "erased")),
        ("held", ("withdrawn", "erased")),
        ("busy", ("withdrawn", "erased")),
        ("sent", ("sent", "erased")),
        ("second rung", ("expired", "erased")),
        ("unknown", ("unknown", "erased")),
        ("delivered", ("delivered", None)),
        ("expired", ("expired", None)),
        ("failed", ("failed", None)),
    ],
)
def test_whatever_state_they_are_in_nothing_names_them_and_the_ledger_balances(
    scene: Scene, state: str, ends_as: tuple[str, str | None]
) -> None:
    run_id = reach(scene, state)
    before = scene.proof(run_id)

    erased = erase_them(scene)

    assert erased.messages == 1
    message = their_message(scene, run_id)
    assert (message.state, message.state_reason) == ends_as
    assert message.ended_at is not None
    assert (message.facts, message.addresses, message.text, message.zone, message.language) == (
        {},
        {},
        None,
        None,
        None,
    )
    stored = everything_stored(scene)
    for word in (NAME, TOKEN, "phone-of-person-1", "Asia/Dhaka"):
        assert word not in stored.replace(LOCK, "")
    proof = scene.proof(run_id)
    assert before.balanced
    assert proof.balanced, proof.differences
    assert (proof.targeted, proof.rows) == (2, 2)
    assert "token-2" in stored


def test_the_others_of_the_run_go_on(scene: Scene) -> None:
    run_id = reach(scene, "sent")
    erase_them(scene)
    other = next(each for each in scene.ids(run_id) if scene.message(each).recipient_id == "person-2")
    scene.send(other)
    assert scene.message(other).state == "sent"
    assert scene.proof(run_id).balanced


@pytest.mark.parametrize("state", ["opened", "held", "sent"])
def test_its_workflow_is_told_and_hears_that_it_is_over(scene: Scene, state: str) -> None:
    run_id = reach(scene, state)

    erased = erase_them(scene)

    message = their_message(scene, run_id)
    assert erased.ended == [message.id]
    assert message.due_at is not None
    with transaction(scene.engine) as session:
        decision = decide(session, message.id, HASHER, send_on="fcm")
    assert decision is not None
    assert decision.claim is None
    assert scene.message(message.id).due_at is None


def test_a_send_in_flight_is_waited_for_and_its_record_finds_its_message(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    [message_id] = scene.ids(scene.opened(THEM))
    claim = scene.claim(message_id)
    found_while_waiting = []

    def settle(_: float) -> None:
        found_while_waiting.append(
            (scene.message(message_id).person_key, len(scene.stored(AuditEntry, action="erase")))
        )
        with transaction(scene.engine) as session:
            record(session, claim, SENT, HASHER)

    monkeypatch.setattr("db.erasure.time.sleep", settle)
    erased = erase_them(scene)

    assert found_while_waiting == [(NAME, 0)]
    assert (erased.messages, erased.ended) == (1, [message_id])
    assert (scene.message(message_id).state, scene.attempts(message_id)[0].provider_id) == ("sent", None)
    assert scene.proof(scene.message(message_id).run_id).balanced


def test_a_send_that_died_is_unknown_and_not_waited_for(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(THEM))
    scene.claim(message_id)
    scene.rewind(message_id, UNSETTLED_FOR + timedelta(seconds=1))

    erase_them(scene)

    assert scene.message(message_id).state == "unknown"
    assert scene.proof(scene.message(message_id).run_id).balanced


def test_a_late_acknowledgement_still_delivers_the_tombstone(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(THEM))
    attempt_id = scene.send(message_id)
    erase_them(scene)

    scene.acknowledge(attempt_id)

    assert scene.message(message_id).state == "delivered"
    assert scene.proof(scene.message(message_id).run_id).balanced


def test_a_person_whose_audience_is_being_taken_cannot_be_taken_out_of_it(scene: Scene) -> None:
    done = scene.opened(THEM)
    run_id = scene.queued(slot="being-taken")
    with transaction(scene.engine) as session:
        store_rows(session, run_id, [THEM])

    with pytest.raises(AudienceBeingTakenError, match="probe-being-taken"):
        erase_them(scene)

    assert scene.message(scene.ids(done)[0]).person_key == NAME
    assert erase_them(scene, "person-2").messages == 0
