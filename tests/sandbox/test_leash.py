import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from sandbox.folder_lock import FolderInUseError, lock_folder
from sandbox.leash import CommandNotStartedError, leashed
from sandbox.ports import LOOPBACK, free_port

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 20.0
FOREVER = ["sleep", "600"]
DEAF = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 600; done"]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def ended(pid: int) -> bool:
    """A zombie has ended too: who should collect it may be slow."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def parent_of(command: list[str], log: Path, **options: float) -> "subprocess.Popen[str]":
    """A process that leashes a command, prints the command's pid and does nothing more."""
    script = (
        "import pathlib, signal, sys\n"
        "from sandbox.leash import leashed\n"
        f"child = leashed({command!r}, log=pathlib.Path({str(log)!r}), **{options!r})\n"
        "print(child.pid_of_command, flush=True)\n"
        "signal.pause()\n"
    )
    return subprocess.Popen(  # noqa: S603 - the script above
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )


def killed(parent: "subprocess.Popen[str]") -> int:
    """Kill the parent as soon as it has said its child's pid, and return that."""
    assert parent.stdout is not None
    with parent.stdout as said:
        pid = int(said.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    return pid


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    pid = killed(parent_of(FOREVER, tmp_path / "log"))
    eventually(lambda: ended(pid))


def test_an_orphan_that_ignores_its_stop_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = parent_of(DEAF, log, orphan_grace_seconds=0.1)
    eventually(lambda: log.exists() and "ready" in log.read_text())
    pid = killed(parent)
    eventually(lambda: ended(pid))


def test_what_the_command_started_ends_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    leash = leashed(["sh", "-c", "sleep 600 & echo $!; wait"], log=log)
    eventually(lambda: log.read_text().endswith("\n"))
    grandchild = int(log.read_text())
    assert psutil.pid_exists(grandchild)
    leash.stop()
    eventually(lambda: ended(grandchild))


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_the_exit_code_is_the_commands_own(tmp_path: Path, script: str, code: int) -> None:
    leash = leashed(["sh", "-c", script], log=tmp_path / "log")
    assert leash.wait(PATIENCE_SECONDS) == code
    assert leash.stop() == code


def test_a_signal_to_the_supervisor_reaches_the_command(tmp_path: Path) -> None:
    log = tmp_path / "log"
    leash = leashed(["sh", "-c", "trap 'exit 3' USR1; echo ready; while :; do sleep 0.01; done"], log=log)
    eventually(lambda: "ready" in leash.tail())
    leash.supervisor.send_signal(signal.SIGUSR1)
    assert leash.wait(PATIENCE_SECONDS) == 3
    leash.stop()


def test_stop_uses_the_commands_own_stop_signal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "trap 'exit 4' INT; trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    leash = leashed(["sh", "-c", script], log=log, stop_signal=signal.SIGINT)
    eventually(lambda: "ready" in leash.tail())
    assert leash.stop() == 4


def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    leash = leashed(DEAF, log=tmp_path / "log")
    eventually(lambda: "ready" in leash.tail())
    assert leash.stop(grace_seconds=0.1) == 128 + signal.SIGKILL
    eventually(lambda: ended(leash.pid_of_command))


def test_a_killed_command_is_seen_to_have_ended(tmp_path: Path) -> None:
    leash = leashed(FOREVER, log=tmp_path / "log")
    assert leash.poll() is None
    leash.kill_command()
    assert leash.wait(PATIENCE_SECONDS) == 128 + signal.SIGKILL
    leash.kill_command()  # its pid may be another's by now: nothing is sent
    leash.stop()


def test_a_command_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(CommandNotStartedError, match=r"cannot start /no/such/program: .*No such file"):
        leashed(["/no/such/program"], log=tmp_path / "log")


def test_the_last_words_are_of_this_start_alone(tmp_path: Path) -> None:
    for word in ("first", "second"):
        leash = leashed(["echo", word], log=tmp_path / "log")
        leash.wait(PATIENCE_SECONDS)
        leash.stop()
    assert leash.tail() == "second"


def test_a_command_gets_only_the_environment_it_is_given(tmp_path: Path) -> None:
    leash = leashed(["/usr/bin/env"], log=tmp_path / "log", env={"ONLY": "this"})
    leash.wait(PATIENCE_SECONDS)
    leash.stop()
    assert "ONLY=this" in leash.tail()
    assert "HOME=" not in leash.tail()


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with lock_folder(tmp_path, within_seconds=0), pytest.raises(FolderInUseError, match=str(tmp_path)):
        lock_folder(tmp_path, within_seconds=0)
    lock_folder(tmp_path, within_seconds=0).close()


def test_a_folder_stays_locked_while_a_child_that_inherited_the_lock_lives(tmp_path: Path) -> None:
    with lock_folder(tmp_path, within_seconds=0) as lock:
        leash = leashed(FOREVER, log=tmp_path / "log", keep_open=[lock.fileno()])
    with pytest.raises(FolderInUseError):
        lock_folder(tmp_path, within_seconds=0)
    leash.stop()
    lock_folder(tmp_path, within_seconds=PATIENCE_SECONDS).close()


def test_a_preferred_port_is_taken_only_when_nobody_listens_there() -> None:
    preferred = free_port()
    assert free_port(preferred) == preferred
    with socket.create_server((LOOPBACK, preferred)):
        assert free_port(preferred) != preferred
