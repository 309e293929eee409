"""`drumbeat why`, `consent`, `erase` and `audit`."""

import io
import json

import pytest
from sqlalchemy import Engine

from db.tables import Consent, Message
from domain.tombstones import hash_in
from tests.api.rows import add_run, add_sent_message, stored
from tests.console.terminal import Terminal


def test_a_persons_story_is_shown_line_by_line(drumbeat: Terminal, engine: Engine) -> None:
    add_sent_message(engine, recipient="[red]ada")

    said = drumbeat("why", "[red]ada")

    assert said.code == 0
    assert said.out.startswith("[red]ada, times in UTC\n")
    assert "Targeted by lock_battery, run lock_battery-spring." in said.out
    assert "Handed over by fcm to …." in said.out
    assert json.loads(drumbeat("why", "[red]ada", "--json").out)["known"] is True


def test_somebody_of_whom_nothing_is_known_is_told_so(drumbeat: Terminal, engine: Engine) -> None:
    add_run(engine)
    said = drumbeat("why", "nobody")
    assert said.code == 0
    assert "nobody: nothing was ever decided for them, and they have said nothing." in said.out
    assert "Not in the audience of lock_battery-spring" in said.out


def test_a_wrong_word_is_one_clear_line(drumbeat: Terminal, engine: Engine) -> None:
    for words, remedy in (
        (("why", "ada", "--campaign", "birthday"), "there is no campaign 'birthday'"),
        (("why", " "), "person: it is empty"),
        (("consent", "ada", "Offers!", "--grant"), "purpose: use the word"),
        (("consent", "ada", "offers", "emial", "--grant"), "channel: 'emial' is none; use one of fcm"),
        (("erase", "", "--yes"), "person: it is empty"),
        (("audit", "--run", "nothing"), "there is no run 'nothing'"),
    ):
        said = drumbeat(*words)
        assert (said.code, remedy in said.err) == (1, True), (words, said)
    assert drumbeat("consent", "ada", "offers").code == 2
    assert stored(engine, Consent) == []


def test_a_consent_is_noted(drumbeat: Terminal, engine: Engine) -> None:
    assert drumbeat("consent", "ada", "offers", "--grant").out.startswith(
        "Noted: consent to offers on all channels given"
    )
    again = drumbeat("consent", "ada", "offers", "--grant").out
    assert again.startswith("Was so before: consent to offers on all channels given, since ")
    withdrawn = drumbeat("consent", "ada", "offers", "sms", "--withdraw").out
    assert withdrawn.startswith("Noted: consent to offers on sms withdrawn")
    assert {(row.channel, row.granted) for row in stored(engine, Consent)} == {("*", True), ("sms", False)}


def test_an_erasure_asks_first(drumbeat: Terminal, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = add_sent_message(engine, recipient="ada")

    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    refused = drumbeat("erase", "ada")
    assert refused.code == 1
    assert "This cannot be undone" in refused.out
    assert stored(engine, Message)[0].recipient_id == "ada"

    said = drumbeat("erase", "ada", "--yes")
    assert said.code == 0
    assert "Erased: 1 messages are tombstones (1 of them were under way), 0 devices have no owner." in said.out
    assert hash_in(stored(engine, Message)[0].recipient_id)
    assert drumbeat("proof", str(sent.run_id)).code == 0
    assert "Nothing was known of them" in drumbeat("erase", "ada", "--yes").out
    assert "They were erased" in drumbeat("why", "ada").out


def test_the_audit_log_is_shown_with_the_newest_first(drumbeat: Terminal, engine: Engine) -> None:
    assert drumbeat("audit").out == "The audit log has no such entry.\n"
    run_id, _ = add_run(engine)
    drumbeat("pause", str(run_id))
    drumbeat("suppress", "add", "person", "ada")

    said = drumbeat("audit").out
    assert said.index("suppressed the person") < said.index("paused the run")
    assert "on the command line" in said
    assert "lock_battery-spring" in said
    assert "suppressed" not in drumbeat("audit", "--run", "lock_battery-spring").out
    assert json.loads(drumbeat("audit", "--action", "pause", "--json").out)[0]["details"] == {"reason": "operator"}
    assert drumbeat("audit", "--actor", "nobody").out == "The audit log has no such entry.\n"
