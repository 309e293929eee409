"""The suppression list on the real database."""

import pytest

from db import locks
from db.engine import transaction
from db.suppression_import import import_list
from db.suppressions import (
    NotSuppressedError,
    Suppressed,
    SuppressionView,
    export_suppressions,
    lift,
    list_suppressions,
    suppress,
)
from db.tables import AuditEntry, Suppression
from domain.addresses import BadAddressError
from domain.message import Recipient
from domain.persons import PERSON
from domain.states import FailureKind
from domain.suppression import BadReasonError
from domain.suppression_list import BadListError
from tests.db.scene import HASHER, Scene, a_plan, failed


def put(scene: Scene, channel: str, address: str, **more: str) -> Suppressed:
    with transaction(scene.engine) as session:
        return suppress(session, HASHER, channel, address, actor="cli:ada", **more)


def listed(scene: Scene) -> list[tuple[str, str, str, str]]:
    rows = scene.stored(Suppression)
    return sorted((row.channel, row.address_hash, row.reason, row.source) for row in rows)


def test_an_address_is_kept_as_a_hash_and_the_audit_log_has_no_more(scene: Scene) -> None:
    done = put(scene, "email", "Ada@Mail.example", reason="opted_out")

    hashed = HASHER("email", "ada@mail.example")
    assert not done.already
    assert listed(scene) == [("email", hashed, "opted_out", "operator")]
    [entry] = scene.stored(AuditEntry)
    assert (entry.actor, entry.action) == ("cli:ada", "suppress")
    assert entry.details == {"channel": "email", "address_hash": hashed, "reason": "opted_out"}


def test_it_may_be_repeated_and_the_first_word_stays(scene: Scene) -> None:
    put(scene, "fcm", "token-1", reason="complaint")
    again = put(scene, "fcm", "token-1")

    assert (again.already, again.entry.reason) == (True, "complaint")
    assert len(scene.stored(AuditEntry)) == 1


def test_what_a_provider_said_gives_way_to_a_persons_word_and_never_the_other_way_round(scene: Scene) -> None:
    run_id = scene.opened(Recipient("bea", addresses={"fcm": ("token-1", "token-2")}))
    [message_id] = scene.ids(run_id)
    scene.send(message_id, outcome=failed(FailureKind.ADDRESS_REJECTED))
    assert [row[2:] for row in listed(scene)] == [("address_rejected", "provider")]

    assert not put(scene, "fcm", "token-1", reason="opted_out").already
    put(scene, "fcm", "token-2", reason="opted_out")

    assert {row[2:] for row in listed(scene)} == {("opted_out", "operator")}


def test_a_lifted_entry_is_gone_and_the_audit_log_says_what_it_was(scene: Scene) -> None:
    put(scene, PERSON, "person-1", reason="opted_out")
    with transaction(scene.engine) as session:
        lift(session, PERSON, HASHER(PERSON, "person-1"), actor="cli:ida")

    assert listed(scene) == []
    entry = max(scene.stored(AuditEntry), key=lambda each: each.id)
    assert (entry.actor, entry.action, entry.details["reason"]) == ("cli:ida", "lift", "opted_out")
    with pytest.raises(NotSuppressedError), transaction(scene.engine) as session:
        lift(session, PERSON, HASHER(PERSON, "person-1"), actor="cli:ida")


def test_a_word_that_is_wrong_changes_nothing(scene: Scene) -> None:
    with pytest.raises(BadAddressError):
        put(scene, "sms", "0770")
    with pytest.raises(BadReasonError):
        put(scene, "sms", "+447700900123", reason="said so on the phone")
    assert listed(scene) == []
    assert scene.stored(AuditEntry) == []


def test_a_person_who_is_suppressed_has_their_waiting_messages_looked_at_at_once(scene: Scene) -> None:
    bea = Recipient("bea", person_key="person-1", addresses={"fcm": ("token-1",)})
    [waiting] = scene.ids(scene.opened(bea))
    [unopened] = scene.ids(scene.snapshot(bea))
    [awaited] = scene.ids(scene.opened(bea))
    scene.send(awaited)
    [ada] = scene.ids(scene.opened(Recipient("ada", person_key="person-2", addresses={"fcm": ("token-2",)})))
    before = scene.message(waiting).due_at, scene.message(awaited).due_at

    done = put(scene, PERSON, "person-1")

    assert done.waiting == [waiting]
    due = scene.message(waiting).due_at
    assert due is not None
    assert before[0] is not None
    assert due < before[0]
    assert scene.message(awaited).due_at == before[1]
    assert scene.message(unopened).due_at is None
    assert scene.message(ada).due_at is not None


def test_a_suppression_waits_for_the_claims_in_flight(scene: Scene) -> None:
    with transaction(scene.engine) as session:
        locks.hold_person(session, "person-1")
        with scene.meanwhile(lambda: put(scene, PERSON, "person-1")) as suppressed:
            scene.until_somebody_waits()
            assert not suppressed.done()
            session.rollback()
    assert [row[0] for row in listed(scene)] == [PERSON]


def pages(scene: Scene, size: int, **of: str) -> list[list[SuppressionView]]:
    found: list[list[SuppressionView]] = []
    after = None
    while not found or len(found[-1]) == size:
        with transaction(scene.engine) as session:
            found.append(list_suppressions(session, size, after=after, **of))
        if found[-1]:
            last = found[-1][-1]
            after = (last.since, last.channel, last.address_hash)
    return found


def test_the_list_is_read_in_pages_with_the_newest_first(scene: Scene) -> None:
    entries = [put(scene, channel, f"token-{number}").entry for number in range(5) for channel in ("mqtt", "fcm")]

    assert [entry for page in pages(scene, 3) for entry in page] == entries[::-1]
    assert [entry for page in pages(scene, 2, channel="fcm") for entry in page] == entries[::-2]
    assert pages(scene, 2, reason="complaint") == [[]]


def test_a_list_is_imported_with_a_report_of_what_was_refused(scene: Scene) -> None:
    put(scene, "email", "ada@mail.example", reason="complaint")
    lines = [
        b"channel,address\n",
        b"email,ada@mail.example\n",
        b"email,ida@mail.example\n",
        b"email,IDA@mail.example\n",
        b"email,nobody\n",
        b"person,person-1\n",
    ]

    done = import_list(scene.engine, iter(lines), HASHER, actor="cli:ada")

    assert (done.rows, done.added, done.known, done.refused) == (5, 2, 2, 1)
    assert [each.line for each in done.reported] == [5]
    assert {row[2:] for row in listed(scene)} == {("complaint", "operator"), ("imported", "import")}
    entry = max(scene.stored(AuditEntry), key=lambda each: each.id)
    assert (entry.action, entry.details) == ("import_suppressions", {"rows": 5, "added": 2, "refused": 1})


def test_what_is_no_list_is_refused_before_anything_is_stored(scene: Scene) -> None:
    with pytest.raises(BadListError):
        import_list(scene.engine, iter([b"ada@mail.example\n"]), HASHER, actor="cli:ada")
    assert listed(scene) == []
    assert scene.stored(AuditEntry) == []


def test_an_export_is_complete_whatever_its_pages(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.suppressions.EXPORTED_AT_ONCE", 2)
    for number in range(5):
        put(scene, "fcm", f"token-{number}")
    exported = list(export_suppressions(scene.engine))
    assert [each.address_hash for each in exported] == sorted(HASHER("fcm", f"token-{n}") for n in range(5))


def test_every_spelling_of_an_address_is_suppressed_where_a_message_has_several(scene: Scene) -> None:
    spellings = ("Ada@mail.example", "ada@mail.example", "ADA@MAIL.EXAMPLE")
    put(scene, "email", "ada@Mail.example", reason="opted_out")

    [message_id] = scene.ids(scene.opened(Recipient("ada", addresses={"email": spellings}), plan=a_plan("email")))
    scene.decide(message_id, "email")

    message = scene.message(message_id)
    assert (message.state, message.state_reason, scene.attempts(message_id)) == ("suppressed", "opted_out", [])


def test_a_person_on_the_list_is_sent_nothing_from_the_next_claim_on(scene: Scene) -> None:
    bea = Recipient("bea", person_key="person-1", addresses={"fcm": ("token-1",)})
    [message_id] = scene.ids(scene.opened(bea))
    put(scene, PERSON, "person-1", reason="opted_out")
    assert scene.decide(message_id).claim is None
    assert (scene.message(message_id).state, scene.message(message_id).state_reason) == ("suppressed", "opted_out")
