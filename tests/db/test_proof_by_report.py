"""The proof held against the channels' own reports; and the same as rows."""

import csv
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db.engine import transaction
from db.proof_rows import proof_rows
from db.reports import clear_report, import_report
from db.tables import Attempt, ReportedAttempt
from domain.problems import NoSuchChannelError
from domain.proof_csv import proof_lines
from domain.reports import BadReportError, Reported, read_report
from domain.states import FailureKind
from tests.db.scene import RELEASED, UNKNOWN, Scene, failed
from tests.db.test_ledger import a_mixed_run
from tests.fakes import a_person


def reported(scene: Scene, run_id: UUID, *names: Reported, channel: str = "fcm") -> int:
    with transaction(scene.engine) as session:
        return import_report(session, run_id, channel, names, "test")


def taken(scene: Scene, run_id: UUID, channel: str = "fcm") -> list[Reported]:
    """What a provider would truly report: all that it has accepted, and one try whose outcome was lost."""
    handed_over = [
        each
        for each in scene.stored(Attempt, run_id=run_id, channel=channel)
        if each.state in {"sent", "delivered", "expired", "unknown"}
    ]
    return [Reported(message_id=attempt.id) for attempt in handed_over]


def test_a_report_that_says_the_same_leaves_the_proof_balanced(scene: Scene) -> None:
    ids = a_mixed_run(scene)
    assert reported(scene, ids["run"], *taken(scene, ids["run"])) == 3
    proof = scene.proof(ids["run"])
    assert (proof.balanced, proof.report_different) == (True, 0)
    assert [(each.channel, each.messages) for each in proof.reports] == [("fcm", 3)]


def test_what_was_handed_over_and_is_not_in_the_report_is_listed(scene: Scene) -> None:
    ids = a_mixed_run(scene)
    [lost] = scene.attempts(ids["sent"])
    reported(scene, ids["run"], *(each for each in taken(scene, ids["run"]) if each.message_id != lost.id))
    proof = scene.proof(ids["run"])
    assert (proof.balanced, proof.different, proof.report_different) == (False, 0, 1)
    [found] = proof.report_differences
    assert (found.channel, found.message_id, found.attempt, found.attempt_id) == ("fcm", ids["sent"], 1, str(lost.id))
    assert found.why == "was handed over, and the channel's report does not name it"


def test_what_the_report_names_and_the_ledger_calls_failed_is_listed(scene: Scene) -> None:
    ids = a_mixed_run(scene)
    refused = scene.attempts(ids["failed"])[0]
    reported(scene, ids["run"], *taken(scene, ids["run"]), Reported(message_id=refused.id))
    [found] = scene.proof(ids["run"]).report_differences
    assert (found.message_id, found.why) == (
        ids["failed"],
        "is failed, and the channel's report says that it was taken",
    )


def test_a_released_try_that_the_report_names_is_listed(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id, outcome=RELEASED)
    reported(scene, run_id, Reported(message_id=attempt_id))
    assert not scene.proof(run_id).balanced


def test_an_attempt_that_vanished_from_the_ledger_is_missed(scene: Scene) -> None:
    """As after a restored backup: the message is planned again, and nothing in the ledger itself is wrong."""
    ids = a_mixed_run(scene)
    reported(scene, ids["run"], *taken(scene, ids["run"]))
    [gone] = scene.attempts(ids["sent"])
    with transaction(scene.engine) as session:
        session.execute(text("delete from drumbeat.attempts where id = :id"), {"id": gone.id})
    scene.set_message(ids["sent"], state="planned")
    proof = scene.proof(ids["run"])
    assert (proof.balanced, proof.different) == (False, 0)
    [found] = proof.report_differences
    assert (found.message_id, found.attempt_id) == (None, str(gone.id))
    assert "no attempt of any run has this id" in found.why


def test_what_another_run_has_sent_may_be_in_the_same_report(scene: Scene) -> None:
    ids, others = a_mixed_run(scene), a_mixed_run(scene)
    reported(scene, ids["run"], *taken(scene, ids["run"]), *taken(scene, others["run"]))
    assert scene.proof(ids["run"]).balanced


def test_a_report_by_the_providers_ids_alone_is_held_against_those_that_we_learned(scene: Scene) -> None:
    run_id = scene.opened(*(a_person(number) for number in range(3)))
    first, second, third = scene.ids(run_id)
    for message_id in (first, second):
        scene.send(message_id)
    scene.send(third, outcome=UNKNOWN)
    with transaction(scene.engine) as session:
        session.execute(text("update drumbeat.attempts set provider_id = 'p-' || number || message_id"))
        session.execute(text("update drumbeat.attempts set provider_id = null where message_id = :id"), {"id": second})
    own = [Reported(provider_id=each.provider_id) for each in scene.attempts(first)]
    reported(scene, run_id, *own, Reported(provider_id="of somebody else"))
    assert scene.proof(run_id).balanced
    reported(scene, run_id, Reported(provider_id="of somebody else"))
    assert [each.message_id for each in scene.proof(run_id).report_differences] == [first]


def test_a_try_that_is_younger_than_the_report_is_not_held_against_it(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    assert reported(scene, run_id) == 0
    scene.send(message_id)
    assert scene.proof(run_id).balanced


def test_an_empty_report_says_that_nothing_was_taken(scene: Scene) -> None:
    ids = a_mixed_run(scene)
    assert reported(scene, ids["run"]) == 0
    proof = scene.proof(ids["run"])
    assert (proof.report_different, proof.reports[0].messages) == (2, 0)


def test_a_report_takes_the_place_of_the_one_before_and_can_be_forgotten(scene: Scene) -> None:
    ids = a_mixed_run(scene)
    right = taken(scene, ids["run"])
    reported(scene, ids["run"])
    for _ in range(2):
        assert reported(scene, ids["run"], *right, *right) == 3
    assert scene.proof(ids["run"]).balanced
    reported(scene, ids["run"])
    with transaction(scene.engine) as session:
        assert clear_report(session, ids["run"], "fcm", "test")
        assert not clear_report(session, ids["run"], "fcm", "test")
    assert (scene.proof(ids["run"]).balanced, scene.proof(ids["run"]).reports) == (True, [])
    assert scene.audit(ids["run"]) == [("test", "report")] * 4 + [("test", "clear_report")]


def test_a_report_that_breaks_off_changes_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.reports._ROWS_AT_ONCE", 2)
    ids = a_mixed_run(scene)
    reported(scene, ids["run"], *taken(scene, ids["run"]))
    before = scene.everything(ReportedAttempt, ids["run"])
    lines = [b"message_id\n", *(f"{uuid4()}\n".encode() for _ in range(5)), b"lost\n"]
    with pytest.raises(BadReportError, match="line 7"), transaction(scene.engine) as session:
        import_report(session, ids["run"], "fcm", read_report(lines), "test")
    assert scene.everything(ReportedAttempt, ids["run"]) == before


def test_a_channel_that_is_no_rung_of_the_run_has_no_report(scene: Scene) -> None:
    with pytest.raises(NoSuchChannelError, match="this run has no channel 'sms'; it has: fcm, mqtt"):
        reported(scene, a_mixed_run(scene)["run"], channel="sms")


@pytest.mark.parametrize("page", [2, 1000])
def test_the_proof_as_csv_has_a_line_for_each_message(scene: Scene, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr("db.proof._PAGE", page)
    ids = a_mixed_run(scene)
    reported(scene, ids["run"], *taken(scene, ids["run"])[1:], Reported(message_id=(stranger := uuid4())))
    scene.set_message(ids["planned"], state="failed", recipient_id="=cmd")
    rows = list(csv.DictReader(proof_lines(proof_rows(scene.engine, ids["run"]))))
    by_message = {row["message_id"]: row for row in rows}
    assert len(rows) == 7
    assert by_message[str(ids["delivered"])]["attempts"] == "1 fcm delivered"
    broken = by_message[str(ids["planned"])]
    assert (broken["recipient_id"], broken["state"], broken["expected"], broken["proven"]) == (
        "'=cmd",
        "failed",
        "planned",
        "no",
    )
    assert str(stranger) in by_message[""]["attempts"]
    proof = scene.proof(ids["run"])
    assert sum(row["proven"] == "no" for row in rows) == proof.different + proof.report_different


def test_an_attempt_that_was_smuggled_in_is_seen(scene: Scene) -> None:
    ids = a_mixed_run(scene)
    [sent] = scene.attempts(ids["sent"])
    values = {"id": uuid4(), "message": ids["planned"], "run": ids["run"], "at": sent.claimed_at}
    with transaction(scene.engine) as session:
        session.execute(
            text(
                "insert into drumbeat.attempts (id, message_id, run_id, number, channel, address, state, claimed_at)"
                " values (:id, :message, :run, 1, 'fcm', 'x', 'sent', :at)"
            ),
            values,
        )
    assert [each.message_id for each in scene.proof(ids["run"]).differences] == [ids["planned"]]


def test_a_refused_try_of_a_delivered_message_is_no_difference(scene: Scene) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    scene.send(message_id, outcome=failed(FailureKind.UNREACHABLE))
    scene.acknowledge(scene.send(message_id, "mqtt"))
    for channel in ("fcm", "mqtt"):
        reported(scene, run_id, *taken(scene, run_id, channel), channel=channel)
    assert scene.proof(run_id).balanced
