"""The embedded Temporal: the development server of Temporal's command-line program, with its web pages."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from sandbox.embedded_server import EmbeddedServer
from sandbox.leash import Leash, leashed
from sandbox.ports import LOOPBACK, free_port

NAMESPACE = "default"
PORT, UI_PORT = 7233, 8233
_ANSWER_SECONDS = 2.0
_PRAGMAS = {"journal_mode": "wal", "synchronous": "normal"}  # ten times as fast, and a kill -9 still loses nothing


class TemporalServer(EmbeddedServer):
    """Temporal with its web pages, on ports 7233 and 8233 where they are free.

    `in_memory` forgets all at its end. A file that an earlier server made keeps its namespace as it was: search
    attributes that are new since then are not added to it.
    """

    name = "Temporal"

    def __init__(
        self,
        folder: Path,
        program: Path,
        *,
        in_memory: bool = False,
        headless: bool = False,
        preferred_port: int | None = PORT,
        preferred_ui_port: int | None = UI_PORT,
        search_attributes: Mapping[str, str] | None = None,
        dynamic_config: Mapping[str, str] | None = None,
    ) -> None:
        """Search attributes are name to type, such as Keyword; dynamic config is key to JSON."""
        super().__init__(folder, preferred_port=preferred_port)
        self._program = program
        self._in_memory = in_memory
        self._headless = headless
        self._preferred_ui_port = preferred_ui_port
        self._ui_port = 0
        self._options = [
            *_repeated("--search-attribute", search_attributes or {}),
            *_repeated("--dynamic-config-value", dynamic_config or {}),
        ]

    @property
    def address(self) -> str:
        """As host:port, for `Client.connect`."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def ui_url(self) -> str | None:
        return None if self._headless else f"http://{LOOPBACK}:{self._ui_port}"

    def _prepare(self) -> None:
        if not self._headless:
            self._ui_port = free_port(self._preferred_ui_port)

    def _launch(self) -> Leash:
        return leashed(
            [str(self._program), "server", "start-dev", *self._places(), *self._options],
            log=self._folder / "temporal.log",
            env={"PATH": "/usr/bin:/bin", "HOME": str(self._folder)},  # it writes a file to its home
            keep_open=self._kept_open,
        )

    def _places(self) -> list[str]:
        pages = ["--headless"] if self._headless else [f"--ui-port={self._ui_port}"]
        return [f"--ip={LOOPBACK}", f"--port={self._port}", *pages, *([] if self._in_memory else self._file())]

    def _file(self) -> list[str]:
        return [f"--db-filename={self._folder / 'temporal.sqlite'}", *_repeated("--sqlite-pragma", _PRAGMAS)]

    def _answers(self) -> bool:
        return asyncio.run(self._ask())

    async def _ask(self) -> bool:
        """A port that is open is not enough: the namespace must be there."""
        question = DescribeNamespaceRequest(namespace=NAMESPACE)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                client = await Client.connect(self.address, namespace=NAMESPACE)
                await client.workflow_service.describe_namespace(question, timeout=timedelta(seconds=_ANSWER_SECONDS))
        except (RPCError, RuntimeError, TimeoutError):  # RuntimeError is what a refused connection raises
            return False
        return True


def _repeated(option: str, values: Mapping[str, str]) -> list[str]:
    return [f"{option}={name}={value}" for name, value in values.items()]
