"""`drumbeat approve`, and what `drumbeat show` says of a run that waits."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from console.launching import launch_line
from db.launching import LaunchStand
from domain.launching import Gate
from domain.states import RunState
from tests.api.rows import add_run
from tests.api.test_approval import add_large_run
from tests.console.rows import change, state_of
from tests.console.terminal import Terminal

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
LOCAL = f"{AT.astimezone():%H:%M:%S}"


@pytest.mark.parametrize(
    ("stand", "said"),
    [
        (LaunchStand(gate=Gate.APPROVAL), ("drumbeat approve 5d0d57d2", "drumbeat cancel 5d0d57d2")),
        (LaunchStand(gate=Gate.UNDO, resumes_at=AT), (f"begins at {LOCAL}", "drumbeat resume 5d0d57d2")),
        (LaunchStand(canary=50, canary_waiting=12), ("first 50 go ahead, 12 of them", "wait for them")),
        (LaunchStand(canary=50, others_go_at=AT), (f"others follow at {LOCAL}", "drumbeat release 5d0d57d2")),
    ],
)
def test_what_a_run_waits_for_is_said_with_the_time_and_the_way_out(stand: LaunchStand, said: tuple[str, ...]) -> None:
    line = launch_line(stand, "5d0d57d2")
    assert line is not None
    assert all(each in line for each in said)


def test_a_run_that_waits_for_nothing_says_nothing_of_it() -> None:
    assert launch_line(None, "5d0d57d2") is None


def test_a_large_run_is_shown_refused_to_resume_and_approved(drumbeat: Terminal, engine: Engine) -> None:
    add_large_run(engine, "ab12")
    assert "drumbeat approve" in drumbeat("show", "lock_battery-spring", "--once").out
    refused = drumbeat("resume", "lock_battery-spring")
    assert (refused.code, "somebody else than ab12 approves it" in refused.err) == (1, True)
    approved = drumbeat("approve", "lock_battery-spring")
    assert (approved.code, approved.out) == (0, "Approved for 5000 messages. It sends now.\n")
    again = drumbeat("approve", "lock_battery-spring")
    assert (again.code, "has approved it already" in again.err) == (1, True)


def test_whoever_started_a_large_run_is_refused(drumbeat: Terminal, engine: Engine) -> None:
    add_large_run(engine, "ab12")
    run_id, _ = add_run(engine, "summer")
    drumbeat("pause", str(run_id))
    change(engine, "update drumbeat.runs set started_by = (select actor from drumbeat.audit_log limit 1)")
    said = drumbeat("approve", "lock_battery-spring")
    assert said.code == 1
    assert "has started this run: somebody else, with another key, must approve it" in said.err


def test_a_run_resumed_from_a_pause_in_its_snapshot_says_what_it_waits_for_now(
    drumbeat: Terminal, engine: Engine
) -> None:
    add_large_run(engine, "ab12")
    change(engine, "update drumbeat.runs set gate = null")
    said = drumbeat("resume", "lock_battery-spring")
    assert said.out == "Not sending yet; approval awaited: 5000 messages are more than 1000 (APPROVAL_ABOVE).\n"


def test_a_share_or_a_window_that_makes_no_sense_is_refused(drumbeat: Terminal) -> None:
    for option, value in (("--canary", "100"), ("--canary", "0"), ("--undo", "0"), ("--undo", "soon")):
        said = drumbeat("run", "lock_battery", option, value)
        assert said.code == 2
        assert option in said.err


def test_a_run_that_is_over_waits_for_nothing(drumbeat: Terminal, engine: Engine) -> None:
    run_id, _ = add_run(engine, state=RunState.CANCELLED)
    change(engine, "update drumbeat.runs set canary = 1, released_up_to = 1")
    assert "go ahead" not in drumbeat("show", str(run_id), "--once").out
    assert state_of(engine, run_id) == RunState.CANCELLED
