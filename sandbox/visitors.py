"""Who opens the links of the demo's messages: people after a while, scanners and previews at once."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Self
from uuid import UUID

import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal

from sandbox.fcm.log import AcceptedPush

_PHONE = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/142.0 Mobile Safari/537.36"
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Visit:
    share: float
    """Of all pushes."""
    after_seconds: tuple[float, float]
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=lambda: {"user-agent": _PHONE})
    historical: bool = False
    """By the unsigned form that old applications make."""


VISITS = (
    Visit(0.22, (1.0, 3.0)),
    Visit(0.04, (1.5, 3.0), historical=True),
    Visit(0.08, (0.0, 0.2), headers={"user-agent": "Barracuda Sentinel (EE)"}),
    Visit(0.05, (0.0, 0.2), headers={"user-agent": _PHONE, "sec-purpose": "prefetch;prerender"}),
    Visit(0.04, (0.0, 0.3), headers={"user-agent": "WhatsApp/2.25.1 A"}),
    Visit(0.03, (0.0, 0.2), method="HEAD", headers={"user-agent": "curl/8.11"}),
)


class Visitors:
    """In a thread of their own, from `with` to its end; `push_accepted` may be called from any thread."""

    def __init__(self, run_id: UUID, owners: Mapping[str, str], seed: int) -> None:
        """`owners` are people's ids by token."""
        self._run_id = run_id
        self._owners = owners
        self._seed = seed
        self._portal: BlockingPortal
        self._client: httpx2.AsyncClient
        self._visits: set[asyncio.Task[None]] = set()
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self._portal = starting.enter_context(start_blocking_portal())
            client = httpx2.AsyncClient(timeout=_SECONDS, trust_env=False)
            self._client = starting.enter_context(self._portal.wrap_async_context_manager(client))
            starting.callback(lambda: self._portal.call(self._finish))
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def push_accepted(self, push: AcceptedPush) -> None:
        self._portal.start_task_soon(self._plan_visits, push)

    async def _plan_visits(self, push: AcceptedPush) -> None:
        lots = Random(f"{self._seed}/{push.token}")
        for visit in VISITS:
            if lots.random() < visit.share:
                task = asyncio.create_task(self._visit(visit, push, lots.uniform(*visit.after_seconds)))
                self._visits.add(task)
                task.add_done_callback(self._visits.discard)

    async def _visit(self, visit: Visit, push: AcceptedPush, delay: float) -> None:
        await asyncio.sleep(delay)
        url = push.data["click_url"]
        if visit.historical:
            base, lock, owner = url.rsplit("/c/", 1)[0], push.data["lock_id"], self._owners[push.token]
            url = f"{base}/?event=click&campaign_id={self._run_id}&lock_id={lock}&user_id={owner}"
        await self._client.request(visit.method, url, headers=dict(visit.headers))

    async def _finish(self) -> None:
        await asyncio.gather(*self._visits)
