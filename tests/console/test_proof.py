"""`drumbeat proof` and `drumbeat report`."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine

from channels.interface import Reporting
from console.proof import NoReportError, own_report
from domain.reports import Reported
from tests.api.rows import SentMessage, add_sent_message
from tests.console.terminal import Terminal
from tests.fakes import FakeChannel


@pytest.fixture
def sent(engine: Engine) -> SentMessage:
    return add_sent_message(engine)


def test_a_report_is_imported_from_a_file_and_the_proof_says_so(
    drumbeat: Terminal, sent: SentMessage, tmp_path: Path
) -> None:
    assert "no channel's own report to hold it against" in drumbeat("proof", str(sent.run_id)).out
    file = tmp_path / "fcm.csv"
    file.write_text(f"message_id\n{sent.attempt_id}\n")
    said = drumbeat("report", str(sent.run_id), "fcm", str(file))
    assert said.code == 0
    assert said.out.startswith("1 messages, by the report of fcm.")
    proof = drumbeat("proof", str(sent.run_id))
    assert proof.code == 0
    assert "held against the own report of fcm (1 messages, " in proof.out


def test_a_proof_that_a_report_contradicts_shows_the_message_and_the_try(
    drumbeat: Terminal, sent: SentMessage, tmp_path: Path
) -> None:
    file = tmp_path / "fcm.csv"
    file.write_text("message_id\n")
    drumbeat("report", str(sent.run_id), "fcm", str(file))
    said = drumbeat("proof", str(sent.run_id))
    assert said.code == 1
    for words in ("DOES NOT BALANCE", str(sent.message_id), str(sent.attempt_id), "1 by fcm", "1 tries differ"):
        assert words in said.out
    assert drumbeat("report", str(sent.run_id), "fcm", "--clear").out == "Forgotten.\n"
    assert drumbeat("report", str(sent.run_id), "fcm", "--clear").out == "There was none.\n"
    assert drumbeat("proof", str(sent.run_id)).code == 0


def test_the_proof_is_written_as_csv_too(drumbeat: Terminal, sent: SentMessage, tmp_path: Path) -> None:
    file = tmp_path / "proof.csv"
    assert drumbeat("proof", str(sent.run_id), "--csv", str(file)).code == 0
    with file.open(newline="") as lines:
        [row] = csv.DictReader(lines)
    assert (row["message_id"], row["proven"]) == (str(sent.message_id), "yes")
    nowhere = drumbeat("proof", str(sent.run_id), "--csv", str(tmp_path / "no" / "folder.csv"))
    assert (nowhere.code, nowhere.out, "there is no folder" in nowhere.err) == (2, "", True)


def test_for_a_script_there_is_nothing_but_the_csv(drumbeat: Terminal, sent: SentMessage) -> None:
    said = drumbeat("proof", str(sent.run_id), "--csv", "-")
    [row] = csv.DictReader(said.out.splitlines())
    assert (said.code, row["message_id"]) == (0, str(sent.message_id))


@pytest.mark.parametrize(
    ("content", "problem"),
    [("message_id\nlost\n", "line 2, column message_id: 'lost' is not a UUID"), (None, "No such file or directory")],
)
def test_a_report_that_cannot_be_read_is_refused(
    drumbeat: Terminal, sent: SentMessage, tmp_path: Path, content: str | None, problem: str
) -> None:
    file = tmp_path / "fcm.csv"
    if content:
        file.write_text(content)
    said = drumbeat("report", str(sent.run_id), "fcm", str(file))
    assert said.code == 1
    assert problem in said.err
    assert "no channel's own report" in drumbeat("proof", str(sent.run_id)).out


def test_a_channel_that_cannot_be_asked_says_so(drumbeat: Terminal, sent: SentMessage) -> None:
    said = drumbeat("report", str(sent.run_id), "fcm")
    assert said.code == 1
    assert "fcm cannot be asked what it has taken: it is off, or there is no such channel; give a file" in said.err
    with pytest.raises(NoReportError, match="its provider offers no such report; give a file"):
        own_report({"fcm": FakeChannel("fcm")}, "fcm", datetime.now(UTC))


@dataclass
class AskedChannel(FakeChannel):
    """One whose provider keeps books."""

    asked: tuple[datetime, datetime] | None = None

    def reported(self, since: datetime, until: datetime) -> Iterable[Reported]:
        self.asked = since, until
        return [Reported(message_id=UUID(int=3))]


def test_a_channel_that_can_be_asked_is_asked_from_the_runs_start_on() -> None:
    channel, since = AskedChannel("sms"), datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert isinstance(channel, Reporting)
    assert list(own_report({"sms": channel}, "sms", since)) == [Reported(message_id=UUID(int=3))]
    assert channel.asked
    assert channel.asked[0] == since < channel.asked[1]
