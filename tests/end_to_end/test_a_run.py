"""A run from HTTP to the providers' books, through a pause, a kill -9 and a second worker."""

import signal
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import pytest

from domain.ids import run_workflow_id
from domain.states import AttemptState, RunState
from sandbox.fcm import Fault
from sandbox.polling import wait_until
from tests.console.terminal import Terminal
from tests.end_to_end.play import PATIENCE_SECONDS, Play, playing

QUIET_LOOKS = 20
CSV = {"content-type": "text/csv"}


@pytest.fixture(scope="module")
def folder(server_folder: Path) -> Path:
    return server_folder / "end-to-end"


@pytest.fixture(scope="module")
def play(folder: Path) -> Iterator[Play]:
    """One stack for all of them."""
    with playing(folder / ".drumbeat") as play:
        yield play


def ends_in_order(play: Play, run_id: UUID) -> None:
    play.await_state(run_id, RunState.CLOSED)
    assert play.balances(run_id)
    assert play.agrees_with_fcm(run_id)
    assert play.stand(run_id)["run"]["targeted"] == play.world.expected.targeted


def test_after_the_answer_to_a_pause_nothing_is_accepted_until_it_is_resumed(play: Play) -> None:
    with play.hold_up(Fault.SLOW):
        run_id = play.start()
        play.await_accepted(run_id, 10)
        paused = play.control(run_id, "pause")
        answered_at = datetime.now(UTC)
        known = {attempt.id for attempt in play.attempts(run_id)}
        wait_until(
            lambda: all(each.state != AttemptState.SENDING for each in play.attempts(run_id)),
            PATIENCE_SECONDS,
            "settled",
        )
        before = play.accepted(run_id)
        assert paused["in_flight"] <= 8
        for _ in range(QUIET_LOOKS):  # the workers look for something to do meanwhile
            play.stand(run_id)
        assert {attempt.id for attempt in play.attempts(run_id) if attempt.state != AttemptState.RELEASED} <= known
        assert play.accepted(run_id) == before
        # What was in FCM's hands is accepted there a second later; nothing may have come in after the answer.
        assert all(push.arrived_at < answered_at for push in play.pushes(run_id))
        assert len(before) < play.world.expected.targeted / 2
        assert play.control(run_id, "pause")["already"] is True
        assert play.control(run_id, "resume")["held"] > 0
    ends_in_order(play, run_id)
    assert len(play.accepted(run_id)) > len(before)


@pytest.fixture(scope="module")
def ended(play: Play) -> UUID:
    """A run that was started twice with the key `once`, and has ended."""
    run_id = play.start("once")
    assert play.start("once") == run_id
    play.await_state(run_id, RunState.CLOSED)
    return run_id


def test_the_same_idempotency_key_twice_is_one_run(play: Play, ended: UUID) -> None:
    ends_in_order(play, ended)
    assert play.start("once") == ended
    runs = play.api.get("/api/v1/runs").json()["runs"]
    assert [run["slot"] for run in runs].count("once") == 1
    tries = Counter(attempt.address for attempt in play.attempts(ended))
    assert set(tries.values()) == {1}


def test_a_pause_that_is_typed_into_temporals_own_command_line_holds(play: Play, temporal_program: Path) -> None:
    key = uuid4().hex
    with play.hold_up(Fault.SLOW):
        run_id = play.start(key)
        play.await_accepted(run_id, 5)
        for name, state in (("pause", RunState.PAUSED), ("cancel", RunState.CANCELLED)):
            typed = ["workflow", "signal", "--workflow-id", run_workflow_id("lock_battery", key), "--name", name]
            address = ["--address", play.stack.temporal_address]
            subprocess.run(  # noqa: S603 - Temporal's own program
                [temporal_program, *typed, *address], check=True, capture_output=True, timeout=60
            )
            play.await_state(run_id, state)
    wait_until(lambda: play.stand(run_id)["run"]["closed_at"] is not None, PATIENCE_SECONDS, "it is closed")
    assert play.balances(run_id)
    assert play.stand(run_id)["progress"]["states"]["withdrawn"] > 0
    assert len(play.accepted(run_id)) < play.world.expected.targeted


def test_two_workers_at_once_hand_nothing_over_twice(play: Play) -> None:
    second = play.stack.start_worker()
    try:
        wait_until(lambda: "worker_ready" in second.tail(50), PATIENCE_SECONDS, "the second worker is ready")
        run_id = play.start()
        ends_in_order(play, run_id)
    finally:
        second.stop(30)
    pushes = Counter(push.dedupe_id for push in play.pushes(run_id))
    assert set(pushes.values()) == {1}


def test_a_worker_that_is_killed_in_mid_run_loses_nothing_and_hides_nothing(play: Play) -> None:
    with play.hold_up(Fault.SLOW):
        run_id = play.start()
        play.await_accepted(run_id, 12)
        killed = play.stack.worker
        killed.kill_command()
        assert killed.stop() == 128 + signal.SIGKILL
        assert play.state(run_id) == RunState.RUNNING
        sending = [attempt.id for attempt in play.attempts(run_id) if attempt.state == AttemptState.SENDING]
        assert sending, "the worker held nothing when it was killed: the test has shown nothing"
    play.stack.worker = play.stack.start_worker()
    ends_in_order(play, run_id)
    unknown = {attempt.id for attempt in play.attempts(run_id) if attempt.state == AttemptState.UNKNOWN}
    assert set(sending) <= unknown
    for tries in _accepted_by_message(play, run_id).values():
        assert set(tries[:-1]) <= unknown, "accepted more than once, and the earlier one was known"


def _accepted_by_message(play: Play, run_id: UUID) -> dict[UUID, list[UUID]]:
    """By message, its attempts that FCM accepted, in the order of their numbers."""
    accepted = set(play.accepted(run_id))
    by_message = defaultdict(list)
    for attempt in play.attempts(run_id):
        if attempt.id in accepted:
            by_message[attempt.message_id].append(attempt.id)
    return by_message


@pytest.fixture
def terminal(folder: Path, play: Play, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """In the folder of the stack, with an environment that says nothing."""
    return Terminal(folder, {}, capsys)


def test_the_command_line_finds_the_stack_and_shows_the_run_as_it_ended(terminal: Terminal, ended: UUID) -> None:
    for words, shown in ((("runs",), "closed"), (("show", str(ended)), "closed"), (("proof", str(ended)), "balanced")):
        said = terminal(*words)
        assert said.code == 0
        assert "using the embedded stack of .drumbeat" in said.err
        assert shown in said.out


def test_a_run_that_is_started_by_the_command_line_is_taken_up(terminal: Terminal, play: Play) -> None:
    said = terminal("run", "lock_battery", "--limit", "2", "--param", "ttl_seconds=1", "--key", "by-hand")
    assert said.code == 0
    assert "No worker" not in said.out
    run_id = UUID(said.out.split()[2])
    wait_until(lambda: len(play.accepted(run_id)) == 2, PATIENCE_SECONDS, "two are handed over")
    assert terminal("cancel", str(run_id)).code == 0
    assert len(play.accepted(run_id)) == 2


def test_a_dry_run_by_the_command_line_reads_the_stacks_locks_and_sends_nothing(terminal: Terminal, play: Play) -> None:
    before = len(play.stack.fcm.accepted)
    said = terminal("run", "lock_battery", "--dry-run")
    assert said.code == 0
    assert f"{play.world.expected.targeted} people are targeted" in said.out
    assert len(play.stack.fcm.accepted) == before


def test_the_providers_own_books_prove_the_run_and_a_line_torn_out_of_them_does_not(play: Play) -> None:
    run_id = play.start()
    ends_in_order(play, run_id)
    books = {
        "fcm": {push.message_id for push in play.stack.fcm.accepted if push.message_id},
        "mqtt": {str(taken.message_id) for taken in play.stack.broker.accepted},
    }
    assert books["fcm"]  # no device listens to the broker here: its book stays empty, and is a report all the same
    for channel, taken in books.items():
        report = "\n".join(["message_id", *taken])
        answer = play.api.put(f"/api/v1/runs/{run_id}/reports/{channel}", content=report, headers=CSV)
        assert answer.raise_for_status().json()["messages"] == len(taken)
    proof = play.api.get(f"/api/v1/runs/{run_id}/proof").raise_for_status().json()
    assert (proof["balanced"], [each["channel"] for each in proof["reports"]]) == (True, ["fcm", "mqtt"])
    torn_out = str(play.accepted(run_id)[0])
    without = "\n".join(["message_id", *(books["fcm"] - {torn_out})])
    play.api.put(f"/api/v1/runs/{run_id}/reports/fcm", content=without, headers=CSV).raise_for_status()
    answer = play.api.get(f"/api/v1/runs/{run_id}/proof")
    assert answer.status_code == httpx2.codes.CONFLICT
    assert [each["attempt_id"] for each in answer.json()["report_differences"]] == [torn_out]
