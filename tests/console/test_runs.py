"""`drumbeat runs`, `show`, `pause`, `resume`, `cancel`, `release` and `proof`."""

import pytest
from sqlalchemy import Engine

from db.tables import AuditEntry, Message
from domain.states import RunState
from tests.api.rows import add_run, add_sent_message, stored
from tests.console.rows import change, state_of
from tests.console.terminal import Terminal

OF_A_RUN = ("show", "pause", "resume", "cancel", "release", "approve", "proof")


def test_runs_are_listed_the_newest_first(drumbeat: Terminal, engine: Engine) -> None:
    assert drumbeat("runs").out == "No run yet: `drumbeat run CAMPAIGN` starts one.\n"
    for slot in ("spring", "summer", "autumn"):
        add_run(engine, slot)
    said = drumbeat("runs")
    assert said.code == 0
    assert said.out.index("autumn") < said.out.index("summer") < said.out.index("spring")
    newest = drumbeat("runs", "--limit", "1").out
    assert "autumn" in newest
    assert "summer" not in newest


def test_a_run_is_shown_once_as_it_stands(drumbeat: Terminal, engine: Engine) -> None:
    sent = add_sent_message(engine)
    said = drumbeat("show", str(sent.run_id)[:8], "--once")
    assert said.code == 0
    for shown in ("lock_battery", "spring", "running", str(sent.run_id), "0 of 1 ended, 1 handed over", "awaiting"):
        assert shown in said.out


def test_a_run_is_shown_with_what_its_snapshot_counted(drumbeat: Terminal, engine: Engine) -> None:
    sent = add_sent_message(engine)
    change(engine, """update drumbeat.runs set left_out = '{"unmapped": 3}', noted = '{"never_checked": 2}'""")
    said = drumbeat("show", str(sent.run_id)[:8], "--once").out
    assert all(shown in said for shown in ("left out", "unmapped", "worth a look", "never checked"))


def test_a_run_that_is_closed_is_shown_and_not_waited_for(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine, state=RunState.CLOSED, targeted=0)
    change(engine, "update drumbeat.runs set closed_at = now()")
    assert "closed" in drumbeat("show", str(run_id)).out


@pytest.mark.parametrize("reference", ["spring", "5d0d57d2-0000-0000-0000-000000000000", "[/]", "[red]", "%", ""])
@pytest.mark.parametrize("command", OF_A_RUN)
def test_an_unknown_run_is_refused(drumbeat: Terminal, engine: Engine, command: str, reference: str) -> None:
    add_run(engine)
    said = drumbeat(command, reference)
    assert said.code == 1
    assert said.err == f"there is no run {reference!r}: `drumbeat runs` lists them\n"


@pytest.mark.parametrize("by", ["id", "beginning", "slot", "workflow"])
def test_a_run_is_found_by_each_of_its_names(drumbeat: Terminal, engine: Engine, by: str) -> None:
    run_id, workflow_id = add_run(engine)
    names = {
        "id": str(run_id).upper(),
        "beginning": str(run_id)[:8],
        "slot": "lock_battery-spring",
        "workflow": workflow_id,
    }
    assert drumbeat("pause", names[by]).code == 0
    assert state_of(engine, run_id) == RunState.PAUSED


def test_a_pause_can_be_repeated(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine)
    first, second = drumbeat("pause", str(run_id)), drumbeat("pause", str(run_id))
    assert (first.code, first.out) == (0, "Paused; 0 in flight.\n")
    assert (second.code, second.out) == (0, "Was paused already; 0 in flight.\n")
    assert [entry.action for entry in stored(engine, AuditEntry)] == ["pause"]
    assert stored(engine, AuditEntry)[-1].actor.startswith("cli:")


def test_a_paused_run_goes_on(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine)
    drumbeat("pause", str(run_id))
    said = drumbeat("resume", str(run_id))
    assert said.code == 0
    assert "Resumed; 0 were held, deadlines have moved by" in said.out
    assert state_of(engine, run_id) == RunState.RUNNING


@pytest.mark.parametrize(
    ("clock", "said"),
    [
        ("keep", "Resumed; 0 were held, deadlines stand; 0 are overdue and go to their next rung, where there is one."),
        ("expire_overdue", "Resumed; 0 were held, deadlines stand; 0 were overdue and have ended."),
    ],
)
def test_a_paused_run_goes_on_by_another_clock(drumbeat: Terminal, engine: Engine, clock: str, said: str) -> None:
    run_id, _ = add_run(engine)
    drumbeat("pause", str(run_id))
    assert drumbeat("resume", str(run_id), "--clock", clock).out == f"{said}\n"
    assert [entry.details["policy"] for entry in stored(engine, AuditEntry) if entry.action == "resume"] == [clock]


def test_a_clock_that_there_is_not_is_refused_before_anything_is_done(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine)
    drumbeat("pause", str(run_id))
    said = drumbeat("resume", str(run_id), "--clock", "forget")
    assert said.code == 2
    assert all(word in said.err for word in ("--clock", "forget", "shift", "keep", "expire_overdue"))
    assert state_of(engine, run_id) == RunState.PAUSED


def test_a_preview_of_a_resume_shows_each_clock_and_changes_nothing(drumbeat: Terminal, engine: Engine) -> None:
    sent = add_sent_message(engine)
    refused = drumbeat("resume", str(sent.run_id), "--preview")
    assert (refused.code, "only a paused run" in refused.err) == (1, True)
    drumbeat("pause", str(sent.run_id))
    said = drumbeat("resume", str(sent.run_id), "--preview")
    assert said.code == 0
    rows = [line.split()[:4] for line in said.out.splitlines()]
    assert [row for row in rows if row[:1] in (["shift"], ["keep"], ["expire_overdue"])] == [
        ["shift", "1", "0", "0"],
        ["keep", "1", "0", "0"],
        ["expire_overdue", "1", "0", "0"],
    ]
    assert "Nothing was changed" in said.out
    assert state_of(engine, sent.run_id) == RunState.PAUSED


def test_a_run_that_is_not_paused_cannot_be_resumed(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine)
    said = drumbeat("resume", str(run_id))
    assert said.code == 1
    assert said.err == "cannot resume a run that is running: only a paused run can be resumed\n"


def test_a_run_is_cancelled_and_nothing_of_it_goes_on(drumbeat: Terminal, engine: Engine) -> None:
    sent = add_sent_message(engine)
    first, second = drumbeat("cancel", str(sent.run_id)), drumbeat("cancel", str(sent.run_id))
    assert first.out == "Cancelled; 0 withdrawn, 0 in flight, 1 sent and still awaited.\n"
    assert second.out == "Was cancelled already; 0 withdrawn, 0 in flight, 1 sent and still awaited.\n"
    for command in ("pause", "release"):
        said = drumbeat(command, str(sent.run_id))
        assert said.code == 1
        assert "a run that is cancelled" in said.err


def test_more_of_a_limited_run_is_released_but_never_less(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine, targeted=10)
    change(engine, "update drumbeat.runs set released_up_to = 2")
    assert drumbeat("release", str(run_id), "5").out == "5 of 10 are released.\n"
    less = drumbeat("release", str(run_id), "3")
    assert (less.code, "5 are released already" in less.err) == (1, True)
    more = drumbeat("release", str(run_id), str(2**31))
    assert (more.code, "up_to" in more.err.lower()) == (2, True)
    assert drumbeat("release", str(run_id)).out == "10 of 10 are released.\n"


def test_a_ledger_that_balances_is_proven(drumbeat: Terminal, engine: Engine) -> None:
    sent = add_sent_message(engine)
    said = drumbeat("proof", str(sent.run_id))
    assert said.code == 0
    assert "balanced" in said.out
    assert "1 targeted at the snapshot, 1 rows now" in said.out


@pytest.mark.parametrize(
    ("damage", "shown"),
    [
        (
            "update drumbeat.messages set state = 'failed', ended_at = now()",
            "this is what its attempts and facts end in",
        ),
        ("update drumbeat.messages set state = 'planned'", "this is where its attempts leave it"),
        ("delete from drumbeat.messages", "1 targeted at the snapshot, 0 rows now"),
        ("update drumbeat.runs set targeted = 2", "2 targeted at the snapshot, 1 rows now"),
    ],
)
def test_a_ledger_that_was_broken_by_hand_does_not_prove(
    drumbeat: Terminal, engine: Engine, damage: str, shown: str
) -> None:
    sent = add_sent_message(engine)
    change(engine, damage)
    said = drumbeat("proof", str(sent.run_id))
    assert said.code == 1
    assert "DOES NOT BALANCE" in said.out
    assert shown in said.out
    assert stored(engine, Message) == [] or str(sent.message_id) in said.out or "targeted = 2" in damage
