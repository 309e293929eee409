"""`drumbeat missed`, and the line below `drumbeat runs`."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from db.engine import transaction
from db.missed import note_missed
from tests.console.rows import change
from tests.console.terminal import Terminal

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)


def note(engine: Engine, weeks: int, campaign: str = "lock_battery") -> None:
    with transaction(engine) as session:
        note_missed(session, campaign, MONDAY + timedelta(weeks=weeks), f"7 hours late, [red]{weeks}[/]")


def test_what_was_missed_is_listed_with_the_reason_as_it_is(drumbeat: Terminal, engine: Engine) -> None:
    assert drumbeat("missed").out == "No planned run was missed.\n"
    note(engine, 0)
    note(engine, 1, "other")
    said = drumbeat("missed")
    assert said.code == 0
    assert said.out.index("2026-11-30 09:00") < said.out.index("2026-11-23 09:00")
    assert "7 hours late, [red]0[/]" in said.out
    assert "other" not in drumbeat("missed", "lock_battery").out
    assert "2026-11-23" not in drumbeat("missed", "--limit", "1").out


def test_the_list_of_runs_says_so_while_it_is_new(drumbeat: Terminal, engine: Engine) -> None:
    assert "missed" not in drumbeat("runs").out
    note(engine, 0)
    assert "1 planned run was missed in the last 7 days: `drumbeat missed`" in drumbeat("runs").out
    note(engine, 1)
    assert "2 planned runs were missed in the last 7 days" in drumbeat("runs").out
    change(engine, "update drumbeat.missed_runs set noted_at = now() - interval '8 days'")
    assert "missed" not in drumbeat("runs").out
