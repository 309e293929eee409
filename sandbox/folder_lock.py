"""One owner for a folder at a time, also across a kill -9: the lock lives as long as any process that inherited it."""

import fcntl
import time
from pathlib import Path
from typing import BinaryIO

_LOOK_AGAIN_SECONDS = 0.05


class FolderInUseError(Exception):
    """Another process holds the folder and did not let go in time."""


def lock_folder(folder: Path, *, within_seconds: float) -> BinaryIO:
    """Take the folder for this process and for every child that is given the file's descriptor.

    Closing the file lets go, once no child holds it either. Raises FolderInUseError after `within_seconds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("ab")
    deadline = time.monotonic() + within_seconds
    while not _taken(lock):
        if time.monotonic() > deadline:
            lock.close()
            raise FolderInUseError(f"{folder} is in use by another process (it did not let go in {within_seconds:g} s)")
        time.sleep(_LOOK_AGAIN_SECONDS)
    return lock


def _taken(lock: BinaryIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
