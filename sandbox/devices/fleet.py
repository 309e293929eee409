import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Self

import httpx2
from anyio.from_thread import start_blocking_portal

from sandbox.devices.device import Answer, Delays, Device, DeviceLog, Life, Received, Way
from sandbox.devices.session import DeviceSession

_ACK_PATH = "/api/v1/push/ack"
_ACK_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class DeviceFleet:
    """All devices on one event loop, from `start` (or `with`) to `stop`; each MQTT session is a real paho client.

    An acknowledgement is tried `ack_tries` times where the API cannot be reached, is busy or fails.
    """

    def __init__(
        self,
        devices: Iterable[Device],
        api_url: str,
        broker_url: str,
        *,
        seed: int = 0,
        delays: Delays | None = None,
        ack_tries: int = 10,
    ) -> None:
        self._api_url = api_url
        self._broker_url = broker_url
        self._ack_tries = ack_tries
        self._lives = [Life(device, delays or Delays(), Random(f"{seed}/{device.device_id}")) for device in devices]
        self._by_token = {life.device.fcm_token: life for life in self._lives if life.device.fcm_token}
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._api: httpx2.AsyncClient
        self._acknowledging: list[Future[None]] = []
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when every MQTT session has its subscription."""
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            # No proxy from the environment: it may be the one that stands in for Google.
            api = httpx2.AsyncClient(base_url=self._api_url, timeout=_ACK_SECONDS, trust_env=False)
            self._api = stack.enter_context(portal.wrap_async_context_manager(api))
            stack.callback(self._end_work)
            self._loop = portal.call(asyncio.get_running_loop)
            for session in [stack.enter_context(session) for session in self._sessions()]:
                session.await_subscribed()
            self._running = stack.pop_all()

    def stop(self) -> None:
        """What is not acknowledged by now never will be. Raises what went wrong in the simulation itself."""
        self._running.close()

    def received_by_fcm(self, token: str, fields: Mapping[str, str]) -> None:
        """A push for this token has left FCM. From any thread; returns at once; foreign tokens are ignored."""
        life = self._by_token.get(token)
        if life and life.device.hears("fcm"):
            self._arrive(life, "fcm", fields)

    def log(self) -> dict[str, DeviceLog]:
        """By device id."""
        with self._changed:
            return {life.device.device_id: life.log() for life in self._lives}

    def await_log(self, device_id: str, reached: Callable[[DeviceLog], bool], seconds: float = 10.0) -> DeviceLog:
        """The device's log as soon as it is as asked for; TimeoutError where that takes longer."""
        life = next(life for life in self._lives if life.device.device_id == device_id)
        with self._changed:
            if not self._changed.wait_for(lambda: reached(life.log()), seconds):
                raise TimeoutError(f"not reached in {seconds} s: {life.log()}")
            return life.log()

    def _sessions(self) -> Iterable[DeviceSession]:
        for life in self._lives:
            client_id = life.device.mqtt_client_id
            if client_id and life.device.hears("mqtt"):
                yield DeviceSession(self._broker_url, client_id, partial(self._received_by_mqtt, life))

    def _received_by_mqtt(self, life: Life, body: bytes) -> None:
        try:
            fields = json.loads(body)
        except ValueError:
            fields = {}
        self._arrive(life, "mqtt", fields if isinstance(fields, dict) else {})

    def _arrive(self, life: Life, way: Way, fields: Mapping[str, str]) -> None:
        with self._changed:
            if self._loop is None:
                return
            self._changed.notify_all()
            if received := life.take(way, fields):
                for delay in life.ack_delays(received):
                    work = self._acknowledge(life, received, delay)
                    self._acknowledging.append(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _acknowledge(self, life: Life, received: Received, delay: float) -> None:
        await asyncio.sleep(delay)
        for number in range(self._ack_tries):
            if number:
                await asyncio.sleep(life.lot() * min(_FIRST_PAUSE_SECONDS * 2 ** (number - 1), _LONGEST_PAUSE_SECONDS))
            status = await self._post(received)
            with self._changed:
                life.answered(Answer(received.message_id, status))
                self._changed.notify_all()
            if status is not None and status != _TOO_MANY_REQUESTS and status < _SERVER_ERROR:
                return

    async def _post(self, received: Received) -> int | None:
        ack = {
            "message_id": str(received.message_id),
            "received_at": received.received_at.isoformat(),
            "token": received.ack_token,
        }
        try:
            return (await self._api.post(_ACK_PATH, json=ack)).status_code
        except httpx2.TransportError:
            return None

    def _end_work(self) -> None:
        with self._changed:
            self._loop = None
            ended = list(self._acknowledging)
        for work in ended:
            work.cancel()
        for work in ended:
            if not work.cancelled():
                work.result()
