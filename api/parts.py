"""What the API is built from, and how a route gets at it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine
from temporalio.client import Client

from activities.queues import CORE
from api.bounds import MovingWindow
from api.relay import Relay
from campaigns.registry import Registry
from domain.clicks import TOO_FAST_SECONDS
from domain.hashing import AddressHasher
from domain.problems import ProblemError
from domain.tokens import Signer

CONNECT_SECONDS = 5.0
"""How long a request may wait for a connection to Temporal."""

Connect = Callable[[], Awaitable[Client]]


class TemporalUnavailableError(ProblemError):
    def __init__(self) -> None:
        super().__init__(
            "Temporal cannot be reached: try again, with the same Idempotency-Key, so that there is one run"
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What `create_app` is given."""

    engine: Engine
    connect: Connect
    """Yields a client of Temporal, or raises; asked for again after a failure."""
    signer: Signer
    registry: Registry
    hash_address: AddressHasher
    core_queue: str = CORE
    api_keys_required: bool = True
    click_landing_url: str | None = None
    """Where a click takes a person; None: a thank-you page of ours."""
    too_fast_seconds: float = TOO_FAST_SECONDS
    """A click sooner after the hand-over than this is a machine's."""
    public_requests_a_minute: int = 600
    """Of one client, on routes that ask for no key."""


class Temporal:
    """One client for the whole process: connected when first needed, and once more after a failure."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connecting: asyncio.Future[Client] | None = None

    async def client(self) -> Client:
        """All who ask while a connection is being made share it. Raises TemporalUnavailableError."""
        if self._connecting is None or _failed(self._connecting):
            self._connecting = asyncio.ensure_future(self._connect())
            self._connecting.add_done_callback(_failed)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.shield(self._connecting)
        except Exception as error:  # whatever a connector raises, the API goes on without Temporal
            raise TemporalUnavailableError from error


def _failed(connecting: asyncio.Future[Client]) -> bool:
    """Looking at the error also tells asyncio that somebody has seen it."""
    return connecting.done() and (connecting.cancelled() or connecting.exception() is not None)


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def _temporal(request: Request) -> Temporal:
    temporal: Temporal = request.app.state.temporal
    return temporal


def _relay(request: Request) -> Relay:
    relay: Relay = request.app.state.relay
    return relay


def _window(request: Request) -> MovingWindow:
    window: MovingWindow = request.app.state.window
    return window


PartsOf = Annotated[Parts, Depends(_parts)]
TemporalOf = Annotated[Temporal, Depends(_temporal)]
RelayOf = Annotated[Relay, Depends(_relay)]
WindowOf = Annotated[MovingWindow, Depends(_window)]
