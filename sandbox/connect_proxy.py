"""An HTTP proxy on loopback that leads well-known host names to simulators, and refuses all others.

It lets a real client speak to `fcm.googleapis.com` unchanged, and proves that the client calls nobody else.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

from sandbox.ports import LOOPBACK

_CHUNK_BYTES = 64 * 1024
_REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(frozen=True, slots=True)
class _Tunnel:
    client: StreamWriter
    simulator: StreamWriter

    def cut(self) -> None:
        """Breaks both ends at once, without a goodbye."""
        self.client.transport.abort()
        self.simulator.transport.abort()


@dataclass(slots=True)
class ConnectProxy:
    """`routes`: port on loopback by the target of the CONNECT request, such as `fcm.googleapis.com:443`."""

    routes: dict[str, int] = field(default_factory=dict)
    port: int = 0
    """0: any free one; kept for the next start."""
    refused: list[str] = field(default_factory=list)
    """Targets that a client asked for and did not get."""
    _tunnels: dict[int, _Tunnel] = field(default_factory=dict)
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ConnectProxy"]:
        server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await server.wait_closed()

    def cut(self, client_port: int) -> None:
        """Breaks the tunnel that the simulator sees as coming from this port."""
        self._tunnels[client_port].cut()

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        connection = cast("asyncio.Task[None]", asyncio.current_task())
        self._connections.add(connection)
        try:
            # A client that leaves in the middle is its own affair; cancelling is how `serving` ends us.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._connections.discard(connection)
            writer.transport.abort()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        request_line, _, _ = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        method, _, target = request_line.decode("latin-1").rpartition(" ")[0].partition(" ")
        port = self.routes.get(target) if method == "CONNECT" else None
        if port is None:
            self.refused.append(target)
            await _refuse(writer)
        else:
            await self._tunnel(reader, writer, port)

    async def _tunnel(self, reader: StreamReader, writer: StreamWriter, port: int) -> None:
        simulator_reader, simulator_writer = await asyncio.open_connection(LOOPBACK, port)
        tunnel = _Tunnel(writer, simulator_writer)
        client_port = simulator_writer.get_extra_info("sockname")[1]
        self._tunnels[client_port] = tunnel
        writer.write(_CONNECTED)
        try:
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(_pump(reader, simulator_writer))
                both_ways.create_task(_pump(simulator_reader, writer))
        except* OSError:
            pass  # one end broke: `cut` breaks the other
        finally:
            del self._tunnels[client_port]
            tunnel.cut()


async def _refuse(writer: StreamWriter) -> None:
    writer.write(_REFUSAL)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    """Until one side has said its last word; the other side learns that too."""
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()
