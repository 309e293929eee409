"""`make bench`, as small as it can be: it plays both, counts, and writes its tables."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmarks.__main__ import bench
from benchmarks.figures import PARTS, Pair, Results, Round
from benchmarks.rounds import a_machine
from benchmarks.sheets import sheets_of, verdict, warning
from benchmarks.statements import kind_of
from benchmarks.views import BEGINS, ENDS, PAGE, NoMarkersError, table_of, write_into

RECIPIENTS = 20


@pytest.fixture(scope="module")
def pair(temporal_program: Path) -> Pair:
    with a_machine(temporal_program) as machine:
        return Pair(bare=machine.bare_round(RECIPIENTS), ours=machine.our_round(RECIPIENTS, count_statements=True))


@pytest.fixture(scope="module")
def results(pair: Pair) -> Results:
    return Results(machine="1 processor", pairs=[pair, pair], growth=[pair], counted=pair.ours)


def test_both_engines_are_played_to_their_end(pair: Pair) -> None:
    for played, name in ((pair.bare, "bare"), (pair.ours, "ours")):
        assert (played.engine, played.recipients) == (name, RECIPIENTS)
        assert 0 < played.seconds <= played.closed_seconds
        assert set(played.cpu) == set(played.memory) == set(PARTS)
        assert all(played.cpu[part] > 0 for part in ("worker", "temporal"))
        assert all(megabytes > 1 for megabytes in played.memory.values())
        assert played.threads["MainThread"] > 0


def test_only_ours_asks_a_database(pair: Pair) -> None:
    assert not pair.bare.statements
    assert pair.ours.threads["fcm"] > 0
    assert pair.ours.statements["INSERT INTO attempts"].count == pytest.approx(1)
    assert pair.ours.statements["INSERT INTO acknowledgements"].count == pytest.approx(1)
    assert pair.ours.statements["(commit)"].seconds > 0


def test_every_sheet_has_a_figure_in_every_column(results: Results) -> None:
    sheets = sheets_of(results)
    assert len(sheets) == 5
    for sheet in sheets:
        assert sheet.rows
        assert {len(row) for row in sheet.rows} == {len(sheet.columns)}
        assert table_of(sheet).row_count == len(sheet.rows)


def test_the_verdict_is_the_median_of_the_rounds_and_their_spread(pair: Pair) -> None:
    three = [Pair(bare=pair.bare, ours=_as_fast(pair.bare, share)) for share in (0.5, 0.9, 0.7)]
    assert "Ours does 0.70 of the bare engine (rounds: 0.50 to 0.90)" in verdict(Results(machine="", pairs=three))


def test_a_machine_with_other_work_is_told_apart_from_a_quiet_one(pair: Pair) -> None:
    def others(processors: float) -> Results:
        noise = {"others": processors}
        calm = Pair(bare=pair.bare.model_copy(update={"others": 0.0}), ours=pair.ours.model_copy(update=noise))
        return Results(machine="", pairs=[calm])

    assert warning(others(0.05)) is None
    assert "up to 0.80 processors" in str(warning(others(0.8)))


def test_the_tables_are_written_between_the_markers_and_nowhere_else(results: Results, tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{BEGINS}\nyesterday's figures\n{ENDS}\nafter\n")
    write_into(page, results, "make bench")
    text = page.read_text()
    assert text.startswith(f"before\n{BEGINS}\n")
    assert text.endswith(f"{ENDS}\nafter\n")
    assert "yesterday" not in text
    assert verdict(results) in text
    assert all(f"### {sheet.title}" in text for sheet in sheets_of(results))


def test_a_page_without_markers_is_left_as_it_is(results: Results, tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("nothing\n")
    with pytest.raises(NoMarkersError, match="has not both markers"):
        write_into(page, results, "make bench")
    assert page.read_text() == "nothing\n"


def test_every_option_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"--[a-z]+", PAGE.read_text().split("##")[0]))
    app = typer.Typer()
    app.command()(bench)
    options = {option for parameter in typer.main.get_command(app).params for option in parameter.opts}
    assert {"--growth", "--write", "--json"} <= named <= options


def test_the_page_has_its_markers_once_each() -> None:
    text = PAGE.read_text()
    assert text.count(BEGINS) == text.count(ENDS) == 1
    assert text.index(BEGINS) < text.index(ENDS)


def test_results_travel_as_json(results: Results) -> None:
    read: dict[str, Any] = json.loads(results.model_dump_json())
    assert Results.model_validate(read) == results


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT drumbeat.messages.id \nFROM drumbeat.messages \nWHERE drumbeat.messages.run_id = %(x)s",
         "select from messages by run_id"),
        ("UPDATE drumbeat.attempts SET state=%(s)s WHERE drumbeat.attempts.id = %(i)s", "UPDATE attempts set state"),
        ("INSERT INTO drumbeat.attempts (id) VALUES (%(id)s)", "INSERT INTO attempts"),
        ("select pg_advisory_xact_lock(%(key)s)", "select pg_advisory_xact_lock(%(key)s)"),
    ],
)  # fmt: skip
def test_a_statement_is_known_by_its_verb_its_tables_and_what_it_asks_by(statement: str, kind: str) -> None:
    assert kind_of(statement) == kind


def _as_fast(played: Round, share: float) -> Round:
    return played.model_copy(update={"seconds": played.seconds / share})
