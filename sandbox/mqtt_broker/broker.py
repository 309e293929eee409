import asyncio
import ssl
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from sandbox.mqtt_broker.commands import Accepted, Fault, FaultBook
from sandbox.mqtt_broker.connection import Connection
from sandbox.mqtt_broker.exchange import Exchange
from sandbox.ports import LOOPBACK

_BACKLOG = 1024
"""A fleet connects all at once; whom a short queue drops tries again only after seconds."""


class MqttBroker:
    """A broker on a free loopback port and a thread of its own, from `start` (or `with`) to `stop`.

    `users` are names and passwords; without them everybody is let in. With `tls` it speaks nothing else.
    `receive_max` is what it announces as the publishes that it takes without having answered; it does not enforce it.
    """

    def __init__(
        self,
        port: int = 0,
        users: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        receive_max: int = 65_535,
    ) -> None:
        self._port = port
        self._tls = tls
        self._receive_max = receive_max
        self._faults = FaultBook()
        self._exchange = Exchange(self._faults, users)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._portal: BlockingPortal
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The same after an outage."""
        return self._port

    @property
    def url(self) -> str:
        return f"{'mqtts' if self._tls else 'mqtt'}://{LOOPBACK}:{self._port}"

    @property
    def accepted(self) -> tuple[Accepted, ...]:
        """Every QoS 1 publish to `dev/+/cmd` that was taken, in the order of arrival."""
        return tuple(self._exchange.accepted)

    @property
    def commands_seen(self) -> int:
        """How many QoS 1 publishes to `dev/+/cmd` came in, whatever became of them."""
        return self._exchange.commands_seen

    def await_commands(self, count: int, seconds: float = 10.0) -> None:
        """Until `commands_seen` is that many; TimeoutError where it takes longer."""
        with self._exchange.command_came:
            if not self._exchange.command_came.wait_for(lambda: self.commands_seen >= count, seconds):
                raise TimeoutError(f"{self.commands_seen} of {count} commands came within {seconds} s")

    def start(self) -> None:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            self.start_listening()
            stack.callback(self.stop_listening)
            self._running = stack.pop_all()

    def stop(self) -> None:
        self._running.close()

    def start_listening(self) -> None:
        self._portal.call(self._listen)

    def stop_listening(self) -> None:
        """An outage: all connections break, no new one comes about; sessions and what they wait for survive it."""
        self._portal.call(self._break_off)

    def fail(self, client_id: str, fault: Fault, times: int | None = None) -> None:
        """The next `times` publishes to this device, or all; `client_id` may be a pattern such as `till-*`."""
        self._faults.write(client_id, fault, times)

    def heal(self) -> None:
        """No fault any more."""
        self._faults.clear()

    async def _listen(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._exchange, self._connections, self._receive_max),
            LOOPBACK,
            self._port,
            ssl=self._tls,
            backlog=_BACKLOG,
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def _break_off(self) -> None:
        if self._server:
            self._server.close()
            for connection in list(self._connections):
                connection.abort()
            await self._server.wait_closed()
            self._server = None
