"""Children that end with their parent, also when the parent is killed with -9, on Linux and macOS.

Between the two stands a small supervisor, this file run as a program: it reads a pipe that only the parent writes to,
and when the pipe ends, it ends the command. A parent that forks without exec shares the pipe with its forks: the
command then lives until the last of them is gone.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_CANNOT_START = 127
_PASSED_ON = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
_SUPERVISOR_ENDS_SECONDS = 5.0
_NO_LONGER_THERE = (ProcessLookupError, PermissionError)  # the second is macOS's word for a group of zombies


class CommandNotStartedError(Exception):
    """The command could not be started at all; the text says why."""


@dataclass(frozen=True)
class Owner:
    """Whom a command runs as, where that is not ourselves."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Leash:
    """A running command; the supervisor's exit code is the command's own, or 128 + the signal that ended it."""

    pid_of_command: int
    supervisor: "subprocess.Popen[bytes]"
    log: Path
    log_begins_at: int

    def poll(self) -> int | None:
        return self.supervisor.poll()

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        return self.supervisor.wait(timeout_seconds)

    def stop(self, grace_seconds: float = 10.0) -> int:
        """End the command by its stop signal, after the grace by SIGKILL, and return its exit code."""
        if self.poll() is None:
            self.supervisor.terminate()
            try:
                self.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                self.kill_command()
        code = self.wait(_SUPERVISOR_ENDS_SECONDS)
        _let_go(self.supervisor)
        return code

    def kill_command(self) -> None:
        """SIGKILL to the command itself and all of its group; the supervisor then ends too."""
        if self.poll() is None:
            with suppress(*_NO_LONGER_THERE):
                os.killpg(self.pid_of_command, signal.SIGKILL)

    def tail(self, lines: int = 15) -> str:
        """The last lines that this command wrote to its log."""
        return "\n".join(_text(self.log, self.log_begins_at).splitlines()[-lines:])


def leashed(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    owner: Owner | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    orphan_grace_seconds: float = 10.0,
    keep_open: Sequence[int] = (),
) -> Leash:
    """Start a command whose output is appended to `log`.

    `env` replaces the environment, `owner` needs root, `keep_open` are descriptors that the command inherits.
    When this process is gone, the command gets `stop_signal`, and SIGKILL after the orphan's grace.
    """
    options = [f"--stop-signal={int(stop_signal)}", f"--grace={orphan_grace_seconds}"]
    options += [] if owner is None else [f"--uid={owner.uid}", f"--gid={owner.gid}"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        begins_at = output.tell()
        supervisor = subprocess.Popen(  # noqa: S603 - callers give their own commands, never a user's text
            # -I -S: no site-packages, and this folder's names must not shadow the standard library's.
            [sys.executable, "-I", "-S", __file__, *options, "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=env,
            cwd=cwd,
            pass_fds=keep_open,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then stops its children in order
        )
    pid = _pid_of_command(supervisor)
    if pid is None:
        raise CommandNotStartedError(_text(log, begins_at).strip())
    return Leash(pid, supervisor, log, begins_at)


def _pid_of_command(supervisor: "subprocess.Popen[bytes]") -> int | None:
    """None when the supervisor could not start it; then the supervisor has ended too."""
    if supervisor.stdout is None:
        raise AssertionError("the supervisor was started with a pipe")
    with supervisor.stdout as reports:
        pid = reports.readline()
    if pid:
        return int(pid)
    supervisor.wait(_SUPERVISOR_ENDS_SECONDS)
    _let_go(supervisor)
    return None


def _let_go(supervisor: "subprocess.Popen[bytes]") -> None:
    if supervisor.stdin is not None:
        supervisor.stdin.close()


def _text(log: Path, begins_at: int) -> str:
    with log.open("rb") as written:
        written.seek(begins_at)
        return written.read().decode(errors="replace")


# From here on: the supervisor.


def main() -> int:
    options = _options()
    try:
        command = subprocess.Popen(  # noqa: S603 - see leashed()
            options.command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            user=options.uid,
            group=options.gid,
            extra_groups=None if options.uid is None else [],
            close_fds=False,  # passes on what the parent asked to keep open
            start_new_session=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"cannot start {options.command[0]}: {error}\n")
        return _CANNOT_START
    _pass_signals_on(command, options.stop_signal)
    threading.Thread(target=_end_with_parent, args=(command, options), daemon=True).start()
    _report(command.pid)
    code = command.wait()
    # From here on a signal has nobody to go to; at the interpreter's end it would end us with a code of its own.
    for number in _PASSED_ON:
        signal.signal(number, signal.SIG_IGN)
    _signal_group(command, signal.SIGKILL)  # what it left behind goes with it
    return code if code >= 0 else 128 - code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run a command that ends when standard input does.")
    parser.add_argument("--stop-signal", type=int, default=signal.SIGTERM)
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def _pass_signals_on(command: "subprocess.Popen[bytes]", stop_signal: int) -> None:
    signal.signal(signal.SIGTERM, lambda _number, _frame: _signal_group(command, stop_signal))
    for number in _PASSED_ON - {signal.SIGTERM}:
        signal.signal(number, lambda received, _frame: _signal_group(command, received))


def _end_with_parent(command: "subprocess.Popen[bytes]", options: argparse.Namespace) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    _signal_group(command, options.stop_signal)
    time.sleep(options.grace)
    _signal_group(command, signal.SIGKILL)


def _signal_group(command: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(*_NO_LONGER_THERE):
        os.killpg(command.pid, number)


def _report(pid: int) -> None:
    with suppress(BrokenPipeError):  # the parent is gone already: _end_with_parent sees the same
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
