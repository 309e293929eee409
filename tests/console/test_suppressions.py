"""`drumbeat suppress`."""

import io
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.tables import AuditEntry, Suppression
from domain.hashing import AddressHasher
from domain.persons import PERSON
from tests.api.rows import stored
from tests.console.terminal import Terminal
from tests.environment import COMPLETE

HASHER = AddressHasher(COMPLETE["ADDRESS_HASH_KEY"].encode())


def test_an_address_is_put_on_the_list_shown_and_taken_off(drumbeat: Terminal, engine: Engine) -> None:
    assert drumbeat("suppress", "list").out == "The list has no such entry.\n"

    said = drumbeat("suppress", "add", "email", "Ada@Mail.example", "--reason", "complaint")
    assert (said.code, said.out.startswith("Suppressed (complaint, since ")) == (0, True)
    again = drumbeat("suppress", "add", "email", "ada@mail.example")
    assert (again.code, again.out.startswith("Was suppressed already (complaint, since ")) == (0, True)
    listed = drumbeat("suppress", "list", "--channel", "email").out
    assert all(word in listed for word in ("email", "complaint", "operator", HASHER("email", "ada@mail.example")[:12]))
    assert "ada" not in listed
    lifted = drumbeat("suppress", "lift", "email", "ada@mail.example")
    assert (lifted.code, "it was there as complaint" in lifted.out) == (0, True)
    assert stored(engine, Suppression) == []
    assert [entry.action for entry in stored(engine, AuditEntry)] == ["suppress", "lift"]


def test_a_whole_person_is_put_on_the_list_by_their_key(drumbeat: Terminal, engine: Engine) -> None:
    said = drumbeat("suppress", "add", "person", "person-1")
    assert said.code == 0
    assert "0 of their messages wait, and end now." in said.out
    [row] = stored(engine, Suppression)
    assert (row.channel, row.address_hash) == (PERSON, HASHER(PERSON, "person-1"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "emial", "ada@mail.example"), "there is no channel 'emial'"),
        (("add", "sms", "0770"), "begin with + and the country's digits"),
        (("add", "fcm", "token-1", "--reason", "just so"), "reason: use one of unsubscribed"),
        (("lift", "fcm", "token-1"), "is not on the suppression list"),
        (("list", "--channel", "emial"), "there is no channel 'emial'"),
    ],
)
def test_a_wrong_word_is_one_clear_line(drumbeat: Terminal, engine: Engine, words: tuple[str, ...], said: str) -> None:
    refused = drumbeat("suppress", *words)
    assert refused.code == 1
    assert said in refused.err
    assert refused.err.count("\n") == 1
    assert stored(engine, Suppression) == []


def test_a_file_is_imported_and_what_is_wrong_with_it_is_shown(drumbeat: Terminal, engine: Engine) -> None:
    file = drumbeat.folder / "list.csv"
    file.write_bytes("channel;address\nemail;zoë@mail.example\nemail;[red]nobody\n".encode("cp1252"))

    said = drumbeat("suppress", "import", str(file))

    assert said.code == 1
    assert said.out == (
        "2 rows: 1 added, 0 known before, 1 refused.\n  line 3: address: it is not of the form name@host.example\n"
    )
    [row] = stored(engine, Suppression)
    assert row.address_hash == HASHER("email", "zoë@mail.example")


def test_standard_input_is_a_file_too(drumbeat: Terminal, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"channel,address\nfcm,token-1\n")))
    said = drumbeat("suppress", "import", "-")
    assert (said.code, said.out) == (0, "1 rows: 1 added, 0 known before, 0 refused.\n")


def test_an_export_can_be_imported_again(drumbeat: Terminal, engine: Engine) -> None:
    drumbeat("suppress", "add", "email", "ada@mail.example", "--reason", "opted_out")
    file = drumbeat.folder / "out.csv"
    assert drumbeat("suppress", "export", str(file)).err == "1 written.\n"
    assert drumbeat("suppress", "export").out == file.read_text()
    assert "ada" not in file.read_text()

    said = drumbeat("suppress", "import", str(file))
    assert (said.code, said.out) == (0, "1 rows: 0 added, 1 known before, 0 refused.\n")
    other = drumbeat("suppress", "import", str(file), ADDRESS_HASH_KEY="k" * 40)
    assert (other.code, "another ADDRESS_HASH_KEY" in other.out) == (1, True)


@pytest.mark.parametrize("command", ["import", "export"])
def test_a_file_that_cannot_be_used_is_named(drumbeat: Terminal, command: str) -> None:
    nowhere = Path("nowhere") / "list.csv"
    said = drumbeat("suppress", command, str(nowhere))
    assert said.code == 2
    assert str(nowhere) in said.err
    assert "No such file or directory" in said.err


def test_what_is_no_list_is_refused(drumbeat: Terminal) -> None:
    file = drumbeat.folder / "list.csv"
    file.write_text("ada@mail.example\n")
    said = drumbeat("suppress", "import", str(file))
    assert said.code == 1
    assert said.err.startswith("line 1 must name the columns: channel,address")


def test_a_list_of_what_is_not_there_does_not_say_that_nobody_is_on_it(drumbeat: Terminal, engine: Engine) -> None:
    drumbeat("suppress", "add", "person", "ada")
    assert drumbeat("suppress", "list", "--reason", "complaint").out == "The list has no such entry.\n"
    assert drumbeat("audit", "--actor", "cli:nobody").out == "The audit log has no such entry.\n"
