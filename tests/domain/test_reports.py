"""A channel's report as CSV, and what it says of one try."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.proof_csv import harmless, proof_lines
from domain.reports import BadReportError, InReport, Report, Reported, disagreement, read_report, standing
from domain.states import HANDED_OVER, AttemptState

ID = UUID("6f1f6a5e-0000-4000-8000-000000000001")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def read(text: str | bytes) -> list[Reported]:
    file = text if isinstance(text, bytes) else text.encode()
    return list(read_report(file.splitlines(keepends=True)))


def test_a_report_names_our_ids_or_the_providers_or_both() -> None:
    text = f"\ufeffat, provider_id ,message_id\r\nnow,p-1,{str(ID).upper()}\r\n\r\nnow, p-2 ,\r\n"
    assert read(text) == [Reported(ID, "p-1"), Reported(None, "p-2")]
    assert read(f'message_id,text\n{ID},"two\nlines"\n{ID},x\n') == [Reported(ID)] * 2
    assert read("message_id\n") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1, column message_id: the file is empty"),
        ("id;state\n", "line 1, column message_id: it is missing, and so is provider_id; .* has: id;state"),
        ("message_id,message_id\n", "line 1, column message_id: it is there twice"),
        (f"message_id\n{ID}\nlost\n", "line 3, column message_id: 'lost' is not a UUID"),
        (f"message_id,x\n{ID}\n", "line 2, column 2: 1 cells, and the header has 2"),
        (f"message_id\n{ID},x\n", "line 2, column 2: 2 cells, and the header has 1"),
        ("message_id,provider_id\n,\n", "line 2, column message_id and provider_id: nothing is in it"),
        (f"provider_id\n{'x' * 256}\n", "line 2, column provider_id: not an id"),
        ("provider_id\na\0b\n", "line 2, column provider_id: not an id"),
        ('provider_id\n"open', "line 2, column 1: it is not CSV"),
        (b"provider_id\n\xff\n", "line 2, column at byte 1: it is not UTF-8"),
    ],
)
def test_a_malformed_report_is_refused_with_the_line_and_the_column(text: str | bytes, words: str) -> None:
    with pytest.raises(BadReportError, match=words) as refused:
        read(text)
    assert str(refused.value).endswith("nothing was stored")


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f"provider_id\n{text}".encode()))
def test_any_bytes_are_read_or_refused(file: bytes) -> None:
    with suppress(BadReportError):
        assert all(each.message_id or each.provider_id for each in read(file))


def a_report(*, names_ours: bool) -> Report:
    return Report("fcm", NOW, 3, names_ours)


@pytest.mark.parametrize(
    ("report", "named", "age", "provider_id", "says"),
    [
        (None, True, 1, "p", InReport.NO_REPORT),
        (a_report(names_ours=True), True, 1, None, InReport.NAMED),
        (a_report(names_ours=True), False, 1, None, InReport.NOT_NAMED),
        (a_report(names_ours=False), False, 1, "p", InReport.NOT_NAMED),
        (a_report(names_ours=False), False, 1, None, InReport.CANNOT_SAY),
        (a_report(names_ours=True), False, -1, "p", InReport.OLDER),
    ],
)
def test_what_a_report_says_of_a_try(
    report: Report | None, named: bool, age: int, provider_id: str | None, says: InReport
) -> None:
    claimed_at = NOW - timedelta(hours=age)
    assert standing(report, named=named, claimed_at=claimed_at, provider_id=provider_id) is says


@pytest.mark.parametrize("state", AttemptState)
@pytest.mark.parametrize("says", InReport)
def test_ledger_and_report_contradict_each_other_in_two_ways_alone(state: AttemptState, says: InReport) -> None:
    missing = state in HANDED_OVER and says is InReport.NOT_NAMED
    surplus = state in {AttemptState.FAILED, AttemptState.RELEASED} and says is InReport.NAMED
    assert (disagreement(state, says) is not None) is (missing or surplus)


def test_an_operators_word_that_the_report_contradicts_is_told_as_such() -> None:
    said = disagreement(AttemptState.SENT, InReport.NOT_NAMED, judged=True)
    assert said == "was judged as sent, and the channel's report does not name it"


@pytest.mark.parametrize("cell", ["=1+1", "+4", "-4", "@sum", "\tx", "\rx"])
def test_a_cell_that_begins_like_a_formula_is_made_harmless(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    *_, line = proof_lines([("id", cell, "sent", "sent", "yes", "", 'a "quoted", why')])
    assert f"'{cell[0]}" in line
    assert line.endswith('"a ""quoted"", why"\r\n')


def test_any_other_cell_stays_as_it_is() -> None:
    assert [harmless(cell) for cell in ("", "person-1", "a=b")] == ["", "person-1", "a=b"]
