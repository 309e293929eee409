"""One send is at most one request on the wire, and it is always known whether that request had begun."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import firebase_admin
from firebase_admin import messaging
from requests import Session
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError

FCM_ORIGIN = "https://fcm.googleapis.com/"


class HandOver:
    """One request: it has begun or it was called off, never both, whichever thread comes first."""

    def __init__(self, begin_within_seconds: float) -> None:
        self._begin_by = time.monotonic() + begin_within_seconds
        self._lock = threading.Lock()
        self._called_off = False
        self.begun = False

    def begin(self) -> bool:
        """True once at most. False where it is too late: then the request must not leave."""
        with self._lock:
            may_begin = not (self.begun or self._called_off or time.monotonic() > self._begin_by)
            self.begun = self.begun or may_begin
            return may_begin

    def call_off(self) -> bool:
        """True where the request had not begun: now it never will."""
        with self._lock:
            self._called_off = True
            return not self.begun


_current: ContextVar[HandOver] = ContextVar("hand_over")


@contextmanager
def handing_over(hand_over: HandOver) -> Iterator[None]:
    """Requests made in this block, by this thread, ask `hand_over` before they leave."""
    token = _current.set(hand_over)
    try:
        yield
    finally:
        _current.reset(token)


class _AskingConnection(HTTPSConnection):
    """Connects first (name, TCP, proxy, TLS), and asks for leave when the request would be written."""

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - urllib3's own eleven arguments, passed on
        if not _current.get().begin():
            raise ConnectTimeoutError("the connection stood too late, or a request had been sent before")
        super().request(*args, **kwargs)


class _AskingPool(HTTPSConnectionPool):
    ConnectionCls = _AskingConnection


_POOLS = {"http": HTTPConnectionPool, "https": _AskingPool}


class OneRequestAdapter(HTTPAdapter):
    """A pool of connections that repeats nothing by itself; works behind an HTTP proxy too."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)
        _ask_in(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> ProxyManager:  # noqa: ANN401 - requests' signature
        # Behind a proxy urllib3 leaves Nagle's algorithm on, which costs every send 40 ms.
        proxy_kwargs.setdefault("socket_options", HTTPSConnection.default_socket_options)
        manager: ProxyManager = super().proxy_manager_for(proxy, **proxy_kwargs)
        _ask_in(manager)
        return manager


def _ask_in(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = _POOLS


def one_request_session(app: firebase_admin.App, connections: int) -> Session:
    """The session that `messaging.send` uses for this app, made to send every message once.

    The only place that reaches behind firebase-admin: it repeats on 500 and 503 (four times), on 429 with
    Retry-After (for up to six hours) and on broken connections, refreshes and repeats twice on 401, and has no option
    for any of it. tests/channels/test_fcm.py counts the requests on the wire, so it fails when these names are gone.
    """
    session: Session = messaging._get_messaging_service(app)._client.session  # noqa: SLF001 - see above
    session.mount(FCM_ORIGIN, OneRequestAdapter(connections))
    session._max_refresh_attempts = 0  # type: ignore[attr-defined]  # noqa: SLF001 - google-auth's subclass; see above
    session.max_redirects = 0
    return session
