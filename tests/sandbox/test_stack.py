"""The embedded stack as a whole: it keeps what it knows, and leaves nobody behind."""

import stat
import subprocess
import sys
from io import StringIO
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest
from rich.console import Console

from domain.problems import ProblemError
from domain.states import RunState
from sandbox.demo import DemoOrder, run_demo
from sandbox.fcm import Fault
from sandbox.folder_lock import lock_folder
from sandbox.polling import wait_until
from sandbox.stack import ENVIRONMENT, Stack
from settings import read_settings
from tests.end_to_end.play import playing
from tests.environment import alone

PROJECT = Path(__file__).resolve().parents[2]
GONE_WITHIN_SECONDS = 40.0


def say_nothing(_: str) -> None: ...


@pytest.fixture(scope="module")
def folder(server_folder: Path) -> Path:
    return server_folder / "stack"


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def await_gone(processes: set[psutil.Process]) -> None:
    def gone(process: psutil.Process) -> bool:
        try:
            return bool(process.status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    wait_until(lambda: all(map(gone, processes)), GONE_WITHIN_SECONDS, f"these have ended: {processes}")


def test_a_run_that_was_paused_before_the_stop_is_paused_after_the_start_and_ends(folder: Path) -> None:
    before = children()
    with playing(folder) as play, play.hold_up(Fault.SLOW):
        run_id = play.start()
        play.await_accepted(run_id, 10)
        play.control(run_id, "pause")
        started = children() - before
        environment = folder / ENVIRONMENT
        assert stat.S_IMODE(environment.stat().st_mode) == 0o600
        with alone(folder, {}):
            assert read_settings(_env_file=environment).campaign_click_url == play.stack.api_url
    assert len(started) >= 10  # five programs, each with its supervisor
    await_gone(started)
    assert not environment.exists()

    with playing(folder, populate=False) as play:
        accepted_before = len(play.attempts(run_id))
        assert play.state(run_id) == RunState.PAUSED
        assert play.accepted(run_id) == []
        assert 10 <= accepted_before < play.world.expected.targeted / 2
        play.control(run_id, "resume")
        play.await_state(run_id, RunState.CLOSED)
        assert play.balances(run_id)
        assert len(play.attempts(run_id)) > accepted_before


def test_the_children_of_a_stack_whose_parent_was_killed_are_gone(folder: Path) -> None:
    script = (
        "import pathlib, signal\n"
        "from sandbox.stack import Stack\n"
        f"with Stack(pathlib.Path({str(folder)!r}), lambda text: None, durable=False):\n"
        "    print('ready', flush=True)\n"
        "    signal.pause()\n"
    )
    parent = subprocess.Popen(  # noqa: S603 - the script above
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    assert parent.stdout is not None
    with parent.stdout as said:
        assert said.readline() == "ready\n"
        orphans = set(psutil.Process(parent.pid).children(recursive=True))
        parent.kill()
        parent.wait()
    assert len(orphans) >= 10
    await_gone(orphans)


def test_a_folder_that_another_stack_keeps_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.embedded_server._PREVIOUS_ENDS_SECONDS", 0.1)
    with lock_folder(tmp_path / "postgres", within_seconds=0), pytest.raises(ProblemError, match="in use by another"):
        Stack(tmp_path, say_nothing).__enter__()
    assert [file.name for file in tmp_path.iterdir()] == ["postgres"]


def test_a_demo_does_not_empty_the_folder_of_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.demo.PREVIOUS_ENDS_SECONDS", 0.1)
    kept = tmp_path / "kept"
    kept.touch()
    with lock_folder(tmp_path / "postgres", within_seconds=0), pytest.raises(ProblemError, match="in use by another"):
        run_demo(Console(file=StringIO()), DemoOrder(data=tmp_path))
    assert kept.exists()


def test_a_stack_that_cannot_start_says_why_and_leaves_nobody_behind(tmp_path: Path) -> None:
    before = children()
    stack = Stack(tmp_path, say_nothing, durable=False, settings={"WORKER_SLOTS": "none"})
    with pytest.raises(ProblemError, match="WORKER_SLOTS"), stack:
        pass
    assert children() <= before
    assert not (tmp_path / ENVIRONMENT).exists()


def test_the_secrets_of_a_stack_are_made_once_and_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    first, second = (Stack(tmp_path, say_nothing)._secrets() for _ in range(2))
    assert first == second
    assert {len(secret) for secret in first.values()} == {64}
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert first != Stack(tmp_path / "another", say_nothing)._secrets()
