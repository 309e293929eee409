import asyncio
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from anyio.from_thread import start_blocking_portal
from hypercorn.asyncio import serve
from hypercorn.config import Config

from sandbox.certificates import CertificateAuthority
from sandbox.connect_proxy import ConnectProxy
from sandbox.fcm.app import FcmApp
from sandbox.fcm.faults import Fault, FaultPlan
from sandbox.fcm.log import AcceptedPush, PushLog
from sandbox.fcm.service_account import ServiceAccount
from sandbox.ports import LOOPBACK

HOST = "fcm.googleapis.com"


class FcmSimulator:
    """FCM v1 over TLS on loopback, in a thread of its own, while the `with` block lasts.

    Real clients reach it through the proxy that `environment` names. All methods may be called from any thread.
    `folder` receives ca.pem, service-account.json and the server's certificate, new at every start.
    """

    def __init__(self, folder: Path, *, slow_seconds: float = 2.0, retry_after: str = "30") -> None:
        """`retry_after` is the header of a quota error: seconds or an HTTP date."""
        self._authority = CertificateAuthority(folder)
        self._account = ServiceAccount(folder)
        self._certificate = self._authority.issue(HOST)
        self._faults = FaultPlan()
        self._log = PushLog()
        self._proxy = ConnectProxy()
        self._app = FcmApp(self._account, self._faults, self._log, self._proxy.cut)
        self._app.slow_seconds = slow_seconds
        self._app.retry_after = retry_after
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(self._serving()))
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to take this for Google."""
        return {
            "HTTPS_PROXY": f"http://{LOOPBACK}:{self._proxy.port}",
            "NO_PROXY": f"{LOOPBACK},localhost",
            "REQUESTS_CA_BUNDLE": str(self._authority.file),
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._account.file),
        }

    @property
    def accepted(self) -> list[AcceptedPush]:
        """All that was accepted until now, in order."""
        return self._log.accepted

    @property
    def outcomes(self) -> Counter[str]:
        """How many sends ended how: `ok`, the name of a fault, or why the request itself was refused."""
        return self._log.outcomes

    @property
    def refused_hosts(self) -> list[str]:
        """Whom else a client tried to call, such as `metadata.google.internal:443`."""
        return list(self._proxy.refused)

    def on_accepted(self, listener: Callable[[AcceptedPush], None]) -> Callable[[], None]:
        """Called for each push, in the simulator's thread and before its answer: it must neither block nor raise.

        Returns what ends it.
        """
        return self._log.listen(listener)

    def fail(self, pattern: str, fault: Fault, times: int | None = None) -> None:
        """Sends to addresses that contain `pattern` show the fault, `times` times, or until `heal`."""
        self._faults.fail(pattern, fault, times)

    def heal(self, pattern: str) -> None:
        """Forgets what `fail` was told for this very pattern."""
        self._faults.heal(pattern)

    def wait_for(self, outcome: str, times: int = 1, timeout_seconds: float = 10.0) -> None:
        """Until that many sends have ended so, in all. Raises TimeoutError."""
        self._log.wait_for(outcome, times, timeout_seconds)

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        listening = _listening_socket()
        self._proxy.routes[f"{HOST}:443"] = listening.getsockname()[1]
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(self._app, self._config(listening), shutdown_trigger=stop.wait))
            # The proxy ends first: with its tunnels gone, no request keeps the server from ending.
            async with self._proxy.serving():
                yield
            stop.set()

    def _config(self, listening: socket.socket) -> Config:
        config = Config()
        config.bind = [f"fd://{listening.detach()}"]
        config.certfile = config.keyfile = str(self._certificate)
        config.alpn_protocols = ["http/1.1"]
        # Its default closes a connection after 1,000 requests, in the middle of whatever else is on its way.
        config.keep_alive_max_requests = 1_000_000_000
        config.keep_alive_timeout = 75
        config.errorlog = logging.getLogger(__name__)
        return config


def _listening_socket() -> socket.socket:
    """Listens from now on, so that a client that comes before the server is ready waits, and is not refused."""
    listening = socket.create_server((LOOPBACK, 0), backlog=128)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
