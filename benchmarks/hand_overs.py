"""Which messages were handed over, told by the worker to the devices: a pipe, one id a line."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID


class HandOvers:
    """The worker's end. A line is shorter than PIPE_BUF, so that threads cannot mix theirs."""

    def __init__(self, pipe: Path) -> None:
        self._pipe = os.open(pipe, os.O_WRONLY)

    def tell(self, identity: UUID) -> None:
        os.write(self._pipe, f"{identity}\n".encode())


@asynccontextmanager
async def listening(pipe: Path) -> AsyncIterator[asyncio.StreamReader]:
    """The devices' end; open it before the worker starts."""
    os.mkfifo(pipe, 0o600)
    reader = asyncio.StreamReader()
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as source:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), source
        )
        yield reader
        transport.close()
