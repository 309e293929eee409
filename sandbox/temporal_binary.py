"""Temporal's command-line program, which carries the development server: found, or brought to the user's cache."""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs
from temporalio.testing import WorkflowEnvironment

from sandbox.folder_lock import lock_folder
from sandbox.leash import Leash, leashed

Progress = Callable[[str], None]

# The last version that `go install` takes: later ones carry a `replace` in their go.mod.
_GO_PACKAGE = "github.com/temporalio/cli/cmd/temporal@v1.5.1"
_INSTALL_SECONDS = 1800.0
_SILENCE_SECONDS = 60.0
_REPORT_SECONDS = 10.0
_VERSION_SECONDS = 30.0


class TemporalNotFoundError(Exception):
    """There is no Temporal server and none could be installed; the text names the remedies."""


def find_or_install(progress: Progress, *, cache: Path | None = None) -> Path:
    """The program on PATH, in the cache, downloaded by the SDK, or built by Go: the first that works.

    `cache` is a folder for programs (default: the user's own). Raises TemporalNotFoundError.
    """
    installed = (cache or platformdirs.user_cache_path("drumbeat") / "bin") / "temporal"
    found = _found(installed)
    if found is not None:
        return found
    with closing(lock_folder(installed.parent, within_seconds=2 * _INSTALL_SECONDS)):
        return _found(installed) or _install(installed, progress)


def _found(installed: Path) -> Path | None:
    on_path = shutil.which("temporal")
    candidates = [*([Path(on_path)] if on_path else []), installed]
    return next(filter(_works, candidates), None)


def _works(program: Path) -> bool:
    """Other programs are called `temporal` too."""
    if not program.exists():
        return False
    try:
        asked = subprocess.run(  # noqa: S603 - found on the user's own PATH, or put there by us
            [program, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.stdout.startswith("temporal version")


def _install(target: Path, progress: Progress) -> Path:
    """Made in a folder aside and renamed, so that nobody ever finds half of it."""
    for folder in target.parent.glob("installing-*"):
        shutil.rmtree(folder)  # of an attempt that was killed: we hold the lock
    with TemporaryDirectory(dir=target.parent, prefix="installing-") as aside:
        for attempt in (_download, _build):
            program = attempt(Path(aside), progress)
            if program is not None and _works(program):
                program.replace(target)
                progress(f"Temporal's server is installed: {target}")
                return target
    raise TemporalNotFoundError(
        "There is no Temporal server here, and it could not be installed. Do one of these:\n"
        "  1. put Temporal's command-line program on PATH (https://docs.temporal.io/cli)\n"
        f"  2. install Go 1.25 or later, and try again: it builds {_GO_PACKAGE} in 3 to 5 minutes\n"
        "  3. set TEMPORAL_ADDRESS to a Temporal server that runs already, as host:port"
    )


def _download(aside: Path, progress: Progress) -> Path | None:
    progress("Temporal's server is not installed yet: downloading it (100 MB or less) ...")
    try:
        asyncio.run(_start_once(aside, progress))
    except (RuntimeError, TimeoutError) as error:
        progress(f"The download did not succeed: {error}")
    return next(aside.glob("temporal-*[0-9]"), None)


async def _start_once(aside: Path, progress: Progress) -> None:
    """The SDK downloads what it starts, and has no other way to download it."""
    limit = timedelta(seconds=_INSTALL_SECONDS)
    start = WorkflowEnvironment.start_local(download_dest_dir=str(aside), dev_server_startup_timeout=limit)
    starting = asyncio.create_task(start)
    arrived, arrived_at = 0, time.monotonic()
    while not (await asyncio.wait([starting], timeout=_REPORT_SECONDS))[0]:
        size = _size(aside)
        if size > arrived:
            arrived, arrived_at = size, time.monotonic()
            progress(f"  {arrived / 1e6:.0f} MB unpacked")
        elif time.monotonic() - arrived_at > _SILENCE_SECONDS:
            starting.cancel()
            raise TimeoutError(f"nothing arrived for {_SILENCE_SECONDS:.0f} s")
    await (await starting).shutdown()


def _size(folder: Path) -> int:
    return sum(part.stat().st_size for part in folder.iterdir())


def _build(aside: Path, progress: Progress) -> Path | None:
    go = shutil.which("go")
    if go is None:
        progress("Go is not installed, so Temporal's server cannot be built either.")
        return None
    progress(f"Building Temporal's server with Go, once; 3 to 5 minutes on 2 cores: {_GO_PACKAGE}")
    command = ["env", f"GOBIN={aside}", "CGO_ENABLED=0", go, "install", "-v", "-ldflags=-s -w", _GO_PACKAGE]
    build = leashed(command, log=aside / "go.log", cwd=aside)  # no go.mod or go.work above it
    try:
        if _wait_for(build, progress) != 0:
            progress(f"The build failed:\n{build.tail()}")
            return None
    finally:
        build.stop()
    return aside / "temporal"


def _wait_for(build: Leash, progress: Progress) -> int | None:
    """None when it takes longer than anybody waits."""
    began = time.monotonic()
    while time.monotonic() - began < _INSTALL_SECONDS:
        try:
            return build.wait(_REPORT_SECONDS)
        except subprocess.TimeoutExpired:
            lines = build.log.read_text().splitlines()
            downloaded = sum(line.startswith("go: downloading") for line in lines)
            progress(
                f"  {time.monotonic() - began:4.0f} s: {downloaded} modules downloaded, "
                f"{len(lines) - downloaded} packages compiled"
            )
    return None


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.stdout.write(f"Temporal's server: {find_or_install(_say)}\n")
    except TemporalNotFoundError as error:
        sys.exit(str(error))
