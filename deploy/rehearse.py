"""Rehearses a deployment on a machine without a container engine: what docker-compose.yml says, with real parts.

    sudo .venv/bin/python -m deploy.rehearse /tmp/rehearsal --programs /opt/temporal

PostgreSQL, Temporal's server, a mosquitto with TLS and accounts, migrate, worker and api run as the file says, each as
its own user, in a network namespace (deploy/without_containers.py). A campaign goes through it: paused and resumed over
HTTP, its worker killed, Temporal stopped and started, the ledger proven at the end. Standing in for others: FCM and
DynamoDB from the sandbox, a customer's database with read-only access, invented people, devices on MQTT.

Needs root, Linux, Debian's postgresql, postgresql-contrib, mosquitto and mosquitto-clients, openssl, and a folder
(--programs) with temporal, temporal-server and temporal-sql-tool of the versions in docker-compose.yml.
"""

import argparse
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.compose_file import ComposeFile, read_compose_file, variables
from deploy.devices import Device
from deploy.image import build_image
from deploy.rehearsed_run import API, RehearsedRun, must_be, say
from deploy.stand_ins import StandIns, may_connect
from deploy.without_containers import DRUMBEAT, ROOT, Processes
from sandbox.people import Behaviour, World, invent_world

COMPOSE = ROOT / "docker-compose.yml"
SERVERS = ("postgres", "temporal", "mosquitto", "worker", "api")
JOBS = ("temporal-schema", "temporal-namespace", "mosquitto-accounts", "migrate")
_NOT_AUTHORIZED = 135


def main() -> None:
    options = _options()
    if not options.inside:
        options.folder.mkdir(parents=True)
        options.folder.chmod(0o755)
        if options.image:
            (options.folder / "image").symlink_to(options.image.absolute())
            sys.exit(_in_a_network_of_its_own(options))
        say("the image: locked packages and the wheel, installed without the repository")
        build_image(options.folder / "image", options.python)
        sys.exit(_in_a_network_of_its_own(options))
    with ExitStack() as running:
        Rehearsal(options.folder, options.programs, options.locks, running).play()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new one, for everything that is made")
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--python", type=Path, default=Path("/usr/bin/python3"), help="one that every user may run")
    parser.add_argument("--image", type=Path, help="that of an earlier rehearsal")
    parser.add_argument("--locks", type=int, default=600)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_a_network_of_its_own(options: argparse.Namespace) -> int:
    """With its own processes too: at the end, however it comes, nothing is left running."""
    hosts = "127.0.0.1 localhost " + " ".join(read_names())
    again = [sys.executable, "-m", "deploy.rehearse", str(options.folder.absolute()), "--inside"]
    again += [f"--programs={options.programs.absolute()}", f"--locks={options.locks}"]
    prepare = 'ip link set lo up && mount --bind "$0" /etc/hosts && exec "$@"'
    file = Path(f"{options.folder.absolute()}.hosts")
    file.write_text(f"{hosts}\n")
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        return subprocess.run(  # noqa: S603 - this program itself
            [*unshare, "sh", "-c", prepare, str(file), *again], cwd=ROOT, check=False
        ).returncode
    finally:
        file.unlink()


def read_names() -> list[str]:
    """Of all services, which are host names inside."""
    needed = {variable.name: "x" for variable in variables(COMPOSE.read_text())}
    return list(read_compose_file(COMPOSE, needed).services)


@dataclass
class Rehearsal:
    folder: Path
    programs: Path
    locks: int
    running: ExitStack

    def play(self) -> None:
        world = invent_world(self.locks, 11, datetime.now(UTC))
        stand_ins = StandIns(self.folder, self.running)
        self._make_certificates()
        environment = {**secrets_of_a_deployment(), **stand_ins.settings}
        compose = read_compose_file(COMPOSE, environment)
        stack = self._processes(compose, stand_ins.way_to_google)
        say("docker compose up")
        for name in ("temporal-namespace", "migrate"):
            stack.up(name)
        superuser = f"postgresql://postgres:{environment['POSTGRES_PASSWORD']}@postgres:5432"
        drumbeats = compose.services["api"].environment["DATABASE_URL"]
        stand_ins.populate(world, superuser, drumbeats)
        for name in SERVERS:
            stack.up(name)
        say("docker compose up, once more: every job must succeed again")
        for name in JOBS:
            stack.up(name)
        must_be("Drumbeat's user in its own database", may_connect(drumbeats), wanted=True)
        must_be("Drumbeat's user in Temporal's", may_connect(drumbeats.replace("/drumbeat", "/temporal")), wanted=False)
        devices = self._connect_devices(stack, world)
        for name in SERVERS:
            must_be(f"the health of {name}", stack.healthy(name).returncode, 0)
        RehearsedRun(stack, stand_ins.fcm, devices, world).play()
        for name in reversed(SERVERS):
            say(f"docker compose stop {name}: ended with {stack.stop(name)}")

    def _make_certificates(self) -> None:
        subprocess.run(  # noqa: S603 - our own script
            [str(ROOT / "deploy/certificates.sh"), "mqtt.example"],
            env={"PATH": "/usr/bin:/bin", "CERTIFICATES": str(self.folder / "certificates")},
            check=True,
            capture_output=True,
        )

    def _processes(self, compose: ComposeFile, added: Mapping[str, str]) -> Processes:
        programs = {
            "": self.programs,
            DRUMBEAT: self.folder / "image" / "drumbeat" / "bin",
            "postgres": max(Path("/usr/lib/postgresql").glob("*/bin")),
        }
        return Processes(compose, self.folder, programs, {"./deploy/certificates": self.folder / "certificates"}, added)

    def _connect_devices(self, stack: Processes, world: World) -> list[Device]:
        """Each has an account of its own at the broker, made as docs/operations.md says."""
        passwords = {device.mqtt_client_id: secrets.token_hex(8) for device in world.devices}
        for name, password in passwords.items():
            made = stack.execute("mosquitto", ["mosquitto_passwd", "-b", "/mosquitto/data/accounts", name, password])
            if made.returncode:
                raise AssertionError(made.stderr)
        stack.running["mosquitto"].send_signal(signal.SIGHUP)
        awake = [device.id for device in world.devices if device.behaviour not in {Behaviour.OFFLINE, Behaviour.NEVER}]
        authority = self.folder / "certificates" / "ca.crt"
        devices = [
            self.running.enter_context(Device(("localhost", 8883), authority, name, passwords[name], API))
            for name in awake
        ]
        say(f"{len(devices)} of {len(passwords)} devices are connected by TLS, each with an account of its own")
        curious, other = devices[:2]
        must_be("PUBACK of a device that speaks for another", curious.publish(f"acks/{other.name}"), _NOT_AUTHORIZED)
        curious.listen(f"dev/{other.name}/cmd")
        return devices


def secrets_of_a_deployment() -> dict[str, str]:
    must = {variable.name for variable in variables(COMPOSE.read_text()) if variable.operator == ":?"}
    made = {name: secrets.token_hex(32) for name in must}
    return {**made, "CAMPAIGN_CLICK_URL": "https://go.example", "LOCK_BATTERY_SCHEDULE": "off"}


if __name__ == "__main__":
    main()
