"""`drumbeat up`: the embedded stack, until Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.status import Status

from console.desk import EMBEDDED_ENVIRONMENTS
from sandbox.devices import Delays, Device, DeviceFleet
from sandbox.people import World, invent_world
from sandbox.stack import ENVIRONMENT, Say, Stack

DATA = Path(".drumbeat")
LOCKS, SEED = 200, 7


def stay_up(console: Console, folder: Path = DATA) -> None:
    """Servers, simulated providers, invented locks and owners, a worker and the API, until a person stops it."""
    with console.status("starting …") as status, Stack(folder, say_on(status)) as stack:
        world = invent_world(LOCKS, SEED, datetime.now(UTC))
        stack.populate(world)
        with devices_at_work(stack, world, SEED):
            status.stop()
            console.print(addresses(stack, folder))
            wait_for_stop()
            console.print("Stopping. What it knows is kept.")


def say_on(status: Status) -> Say:
    """Words from servers and compilers are shown as they are."""
    return lambda text: status.update(escape(text))


@contextmanager
def devices_at_work(stack: Stack, world: World, seed: int) -> Iterator[DeviceFleet]:
    """The invented people's devices: they take what FCM and MQTT bring, and acknowledge it each in its way."""
    devices = [Device(each.id, each.behaviour, each.mqtt_client_id, each.fcm_token) for each in world.devices]
    delays = Delays(slow=1.5, late=1.0)
    with DeviceFleet(devices, stack.api_url, stack.broker.url, seed=seed, delays=delays) as fleet:
        stack.fcm.on_accepted(lambda push: fleet.received_by_fcm(push.token, push.data))
        yield fleet


def addresses(stack: Stack, folder: Path) -> Panel:
    """Where everything is, for a person."""
    found = folder / ENVIRONMENT in EMBEDDED_ENVIRONMENTS
    adopt = "" if found else f"set -a; . {escape(str(folder / ENVIRONMENT))}; set +a; "
    lines = [
        f"Figures     {stack.api_url}/",
        f"API         {stack.api_url}/docs",
        f"Metrics     {stack.api_url}/metrics",
        f"Temporal    {stack.temporal_ui or stack.temporal_address}",
        f"Logs        {escape(str(folder))}",
        "",
        "[yellow]No API key is asked for, since everything is on loopback alone.[/]",
        f"In another terminal: [bold]{adopt}.venv/bin/drumbeat runs[/]",
    ]
    return Panel("\n".join(lines), title="Drumbeat is up", subtitle="Ctrl-C stops it", expand=False)


def wait_for_stop() -> None:
    """Until SIGINT or SIGTERM."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        told.wait()
    finally:
        for number, action in before.items():
            signal.signal(number, action)
