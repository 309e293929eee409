"""A real Chromium without a window, told by its own protocol over two pipes: no driver, no further package."""

import json
import os
import select
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SECONDS = 60
"""How long it may say nothing."""
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # as root, which is what a container's tests are
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)


class Browser:
    """One page at a time. Everything that the browser complains of is kept in `complaints`."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.complaints: list[str] = []
        self._to_browser = to_browser
        self._from_browser = from_browser
        self._rest = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        self._password: str | None = None
        target = self._tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self._tell(f"{domain}.enable")

    def look_like(self, width: int, height: int = 900, *, dark: bool = False, scale: float = 1) -> None:
        self._tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tell("Emulation.setEmulatedMedia", features=[scheme])

    def when_asked_for_a_password(self, password: str | None) -> None:
        """What the person at the browser types, or that they cancel (None)."""
        self._password = password
        self._tell("Fetch.enable", handleAuthRequests=True)

    def open(self, url: str) -> None:
        self.complaints.clear()
        self._events.clear()
        self._tell("Page.navigate", url=url)
        self._await_event("Page.loadEventFired")

    def press_button(self) -> None:
        """As a finger does, at its middle; until the page that it leads to is there."""
        x, y = self.ask(
            "(box => [box.x + box.width / 2, box.y + box.height / 2])"
            "(document.querySelector('button').getBoundingClientRect())"
        )
        self._events.clear()
        for kind in ("mousePressed", "mouseReleased"):
            self._tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self._await_event("Page.loadEventFired")

    def press_tab(self) -> None:
        for kind in ("keyDown", "keyUp"):
            self._tell("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

    def ask(self, expression: str) -> Any:  # noqa: ANN401 - whatever the expression is
        """In the page's own JavaScript; its security policy does not bind the protocol."""
        answer = self._tell("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, file: Path, *, whole: bool = True) -> None:
        shot = self._tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(b64decode(shot["data"]))

    def _tell(self, method: str, **parameters: object) -> dict[str, Any]:
        number = self._say(method, **parameters)
        while True:
            said = self._next()
            if said.get("id") == number:
                assert "error" not in said, (method, said["error"])
                result: dict[str, Any] = said["result"]
                return result

    def _say(self, method: str, **parameters: object) -> int:
        """Without waiting for what it answers."""
        self._number += 1
        order = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(order).encode() + b"\0")
        return self._number

    def _await_event(self, method: str) -> None:
        while not any(event["method"] == method for event in self._events):
            self._next()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from_browser], [], [], SECONDS)
            assert ready, "the browser says nothing"
            read = os.read(self._from_browser, 1 << 16)
            assert read, "the browser has ended"
            self._rest += read
        first, _, self._rest = self._rest.partition(b"\0")
        said: dict[str, Any] = json.loads(first)
        if "method" in said:
            self._events.append(said)
            self._take(said["method"], said["params"])
        return said

    def _take(self, event: str, about: Mapping[str, Any]) -> None:
        if event == "Log.entryAdded" and about["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(about["entry"]["text"])
        elif event in {"Runtime.exceptionThrown", "Network.loadingFailed"}:
            self.complaints.append(json.dumps(about))
        elif event == "Fetch.requestPaused":
            self._say("Fetch.continueRequest", requestId=about["requestId"])
        elif event == "Fetch.authRequired":
            given = {"response": "ProvideCredentials", "username": "anybody", "password": self._password}
            answer = given if self._password else {"response": "CancelAuth"}
            self._say("Fetch.continueWithAuth", requestId=about["requestId"], authChallengeResponse=answer)


@contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """Skips the test where Chromium is not installed."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("chromium is not installed here")
    orders_out, orders_in = os.pipe()
    answers_out, answers_in = os.pipe()
    # It reads orders from its descriptor 3 and answers on 4; the shell is there to give them these numbers.
    command = ["bash", "-c", f'exec "$@" 3<&{orders_out} 4>&{answers_in}', "bash", program, *_FLAGS]
    with subprocess.Popen(  # noqa: S603 - an installed browser
        [*command, f"--user-data-dir={folder}"],
        pass_fds=(orders_out, answers_in),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        os.close(orders_out)
        os.close(answers_in)
        try:
            yield Browser(orders_in, answers_out)
        finally:
            process.kill()
            os.close(orders_in)
            os.close(answers_out)
