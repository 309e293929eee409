"""What one request, and one client, may cost; and the headers that bound what a page may do."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 64 * 1024
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",  # a link's token stands in the address
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class MovingWindow:
    """At most `limit` requests of one client in any `seconds`; the clients longest silent are forgotten first."""

    def __init__(
        self,
        limit: int,
        seconds: float = 60,
        *,
        remembered: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.refused = 0
        self._limit = limit
        self._seconds = seconds
        self._remembered = remembered
        self._clock = clock
        self._lock = Lock()
        self._requests: OrderedDict[str, deque[float]] = OrderedDict()

    def admits(self, request: Request) -> bool:
        """Whether this one is within the bound; counted only where it is."""
        return self.has_room_for(client_of(request))

    def has_room_for(self, whom: str) -> bool:
        """The same for whatever else is bounded by itself."""
        now = self._clock()
        with self._lock:
            recent = self._requests.setdefault(whom, deque(maxlen=self._limit))
            self._requests.move_to_end(whom)
            if len(self._requests) > self._remembered:
                self._requests.popitem(last=False)
            if len(recent) == self._limit and recent[0] > now - self._seconds:
                self.refused += 1
                return False
            recent.append(now)
            return True


def client_of(request: Request) -> str:
    """The caller's address; in IPv6 its /64, since one host has all addresses of that."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else host


class Fence:
    """Around everything: refuses a body that is too large, and adds the security headers.

    FastAPI's own `max_body_size` would answer in plain text; here every error is a problem.
    """

    def __init__(self, app: ASGIApp, too_large: Callable[[Request], Response]) -> None:
        self._app = app
        self._too_large = too_large

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        read = 0

        async def receive_counted() -> Message:
            """A body of undeclared length is refused while it comes."""
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > BODY_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_missing(MutableHeaders(scope=message), SECURITY_HEADERS)
            await send(message)

        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > BODY_BYTES:
            await self._too_large(Request(scope))(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive_counted, send_with_headers)


def add_missing(headers: MutableHeaders, wanted: Mapping[str, str]) -> None:
    for name, value in wanted.items():
        headers.setdefault(name, value)
