"""A campaign through a rehearsed deployment: paused, its worker killed, Temporal stopped and started, proven."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx2

from deploy.devices import Device
from deploy.without_containers import Processes
from sandbox.fcm import FcmSimulator
from sandbox.people import World

API = "http://127.0.0.1:8000"
TTL_SECONDS = 20
PAUSE_SECONDS = 3
_PATIENCE_SECONDS = 240
_OK, _UNAUTHORIZED, _UNAVAILABLE = 200, 401, 503


class RehearsedRun:
    """Raises AssertionError where something is not as it must be."""

    def __init__(self, stack: Processes, fcm: FcmSimulator, devices: Sequence[Device], world: World) -> None:
        self._stack = stack
        self._fcm = fcm
        self._devices = devices
        self._targeted = world.expected.targeted
        must_be("a request without a key", httpx2.get(f"{API}/api/v1/runs", trust_env=False).status_code, _UNAUTHORIZED)
        words = ["drumbeat", "key", "create", "rehearsal", "--scope", "operate", "--scope", "view"]
        self._key = stack.execute("api", words).stdout.strip()

    def play(self) -> None:
        began = time.monotonic()
        order = {"campaign": "lock_battery", "parameters": {"ttl_seconds": TTL_SECONDS}}
        self._run = self._ask("POST", "", json=order, headers={"idempotency-key": "rehearsal"})["run_id"]
        self._until("a quarter is handed over", lambda: self._accepted > self._targeted / 4)
        self._pause()
        self._until("half is handed over", lambda: self._accepted > self._targeted / 2)
        self._kill_the_worker()
        self._restart_temporal()
        self._until("the run is closed", lambda: self._ask("GET", f"/{self._run}")["run"]["state"] == "closed")
        self._prove(time.monotonic() - began)

    def _pause(self) -> None:
        paused = self._ask("POST", f"/{self._run}/pause")
        at_pause = self._accepted
        time.sleep(PAUSE_SECONDS)
        later = self._accepted - at_pause
        say(f"paused at {at_pause} handed over, {paused['in_flight']} in flight; in {PAUSE_SECONDS} s {later} more")
        if later > paused["in_flight"]:
            raise AssertionError("more was handed over than was in flight")
        say(f"resumed: {self._ask('POST', f'/{self._run}/resume')}")

    def _kill_the_worker(self) -> None:
        self._stack.kill("worker")
        at_kill, killed = self._accepted, time.monotonic()
        dead = self._stack.healthy("worker")
        must_be("the health of a killed worker", dead.returncode, 1)
        say(f"worker killed with -9 at {at_kill} handed over; drumbeat health: {dead.stderr.strip()}")
        self._stack.start("worker")
        self._stack.await_healthy("worker")
        say(f"a new worker is healthy after {time.monotonic() - killed:.1f} s; {self._accepted} handed over")

    def _restart_temporal(self) -> None:
        code = self._stack.stop("temporal")
        must_be("readyz without Temporal", self._readyz(), _UNAVAILABLE)
        must_be("the worker's health without Temporal", self._stack.healthy("worker").returncode, 1)
        self._stack.start("temporal")
        self._stack.await_healthy("temporal")
        self._until("the API is ready again", lambda: self._readyz() == _OK)
        self._until("the worker is healthy again", lambda: self._stack.healthy("worker").returncode == 0)
        say(f"Temporal was stopped ({code}) and started; {self._accepted} handed over")

    def _prove(self, seconds: float) -> None:
        proof = self._stack.execute("api", ["drumbeat", "proof", self._run])
        print(proof.stdout)  # noqa: T201 - a script
        stand = self._ask("GET", f"/{self._run}")
        received, acknowledged = (
            sum(getattr(device, name) for device in self._devices) for name in ("received", "acknowledged")
        )
        say(f"{stand['run']['targeted']} targeted, {stand['progress']['handed_over']} handed over, in {seconds:.1f} s")
        say(f"attempts: {stand['progress']['attempts']}")
        say(f"FCM accepted {self._accepted}; devices received {received} by MQTT and acknowledged {acknowledged}")
        must_be("the ledger's proof", proof.returncode, 0)
        self._hold_against_the_provider(stand["progress"]["attempts"]["fcm"])
        must_be("who is targeted", stand["run"]["targeted"], self._targeted)
        must_be("messages that a device heard of another", sum(device.foreign for device in self._devices), 0)
        must_be("acknowledgements", acknowledged, received)

    def _hold_against_the_provider(self, attempts: dict[str, int]) -> None:
        """What it accepted is what the ledger is sure of, and of the unknown at most all: no double in silence."""
        sure = sum(attempts.get(state, 0) for state in ("sent", "delivered", "expired"))
        unknown = attempts.get("unknown", 0)
        say(f"FCM accepted {self._accepted}; the ledger is sure of {sure}, and {unknown} are unknown")
        if not sure <= self._accepted <= sure + unknown:
            raise AssertionError("the ledger and the provider disagree")

    @property
    def _accepted(self) -> int:
        return len(self._fcm.accepted)

    def _ask(self, method: str, path: str, **request: Any) -> Any:  # noqa: ANN401 - JSON
        headers = {"authorization": f"Bearer {self._key}", **request.pop("headers", {})}
        url = f"{API}/api/v1/runs{path}"
        answer = httpx2.request(method, url, headers=headers, timeout=30, trust_env=False, **request)
        return answer.raise_for_status().json()

    def _readyz(self) -> int:
        return httpx2.get(f"{API}/readyz", timeout=10, trust_env=False).status_code

    def _until(self, what: str, happened: Callable[[], bool]) -> None:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while not happened():
            if time.monotonic() > give_up:
                raise AssertionError(f"never happened: {what}\n{self._stack.tail('worker')}")
            time.sleep(0.1)


def must_be(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{what}: {found}, and not {wanted}")
    say(f"{what}: {found}")


def say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)  # noqa: T201 - a script
