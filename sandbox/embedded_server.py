"""What the embedded servers share: a folder of their own, a free port, a leash, a start that waits for an answer."""

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar, Self

import psutil  # type: ignore[import-untyped]  # it ships no types

from sandbox.folder_lock import lock_folder
from sandbox.leash import Leash
from sandbox.ports import free_port

_START_SECONDS = 60.0  # a recovery after a crash is within it
_STOP_SECONDS = 10.0
_PREVIOUS_ENDS_SECONDS = 30.0
_LOOK_AGAIN_SECONDS = 0.05
_PORT_LOST = "address already in use"


class ServerNotStartedError(Exception):
    """The server could not be started; the text ends with its own last words."""


class EmbeddedServer(ABC):
    """A server on loopback, in a folder that it has to itself; it ends with this process, however that ends.

    After any stop or kill, `start` takes up where it was; it waits for an earlier server on the folder to end.
    """

    name: ClassVar[str]

    def __init__(self, folder: Path, *, preferred_port: int | None) -> None:
        self._folder = folder.absolute()
        self._preferred_port = preferred_port
        self._port = 0
        self._lock: BinaryIO | None = None
        self._leash: Leash | None = None

    @abstractmethod
    def _prepare(self) -> None:
        """Whatever must be there before the first launch."""

    @abstractmethod
    def _launch(self) -> Leash:
        """Start the program on `self._port`, with `self._kept_open`."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client is served; asked again and again, so it returns within seconds."""

    @property
    def pid(self) -> int:
        return self._running.pid_of_command

    def start(self) -> Self:
        """Blocks until the server answers: from a coroutine, call it in a thread.

        Raises ServerNotStartedError, or FolderInUseError where another server keeps the folder.
        """
        self._lock = lock_folder(self._folder, within_seconds=_PREVIOUS_ENDS_SECONDS)
        try:
            self._prepare()
            self._start_on(free_port(self._preferred_port))
            if self._lost_its_port():
                self._running.stop()
                self._start_on(free_port())
            self._expect_running()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, grace_seconds: float = _STOP_SECONDS) -> None:
        """In order, and after the grace by SIGKILL; what was committed stays."""
        if self._leash is not None:
            self._leash.stop(grace_seconds)
        if self._lock is not None:
            self._lock.close()

    def kill(self) -> None:
        """A crash, as by kill -9; `start` comes back from it."""
        self._running.kill_command()
        self.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _running(self) -> Leash:
        if self._leash is None:
            raise ServerNotStartedError(f"{self.name}: call start() first")
        return self._leash

    @property
    def _kept_open(self) -> Sequence[int]:
        """Every process of the server inherits the folder's lock, so that it is free only when all of them are gone."""
        return [] if self._lock is None else [self._lock.fileno()]

    def _start_on(self, port: int) -> None:
        """Returns when the server answers, or has ended."""
        self._port = port
        self._leash = self._launch()
        deadline = time.monotonic() + _START_SECONDS
        while not (self._listens() and self._answers()) and not self._ended():
            if time.monotonic() > deadline:
                raise ServerNotStartedError(f"{self.name} does not answer:\n{self._leash.tail()}")

    def _listens(self) -> bool:
        """An answer alone proves nothing: it may be another server's, on the port that we lost to it."""
        try:
            sockets = psutil.Process(self.pid).net_connections(kind="tcp")
        except psutil.NoSuchProcess:
            return False
        return any(it.status == psutil.CONN_LISTEN and it.laddr.port == self._port for it in sockets)

    def _ended(self) -> bool:
        """Waits a moment for it."""
        try:
            self._running.wait(_LOOK_AGAIN_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _lost_its_port(self) -> bool:
        """Somebody took it between our look and the server's."""
        return self._running.poll() is not None and _PORT_LOST in self._running.tail().lower()

    def _expect_running(self) -> None:
        if self._running.poll() is not None:
            raise ServerNotStartedError(f"{self.name} ended at once:\n{self._running.tail()}")
