"""Rehearses a deployment on a machine without a container engine: what docker-compose.yml says, with real parts.

    sudo .venv/bin/python -m deploy.rehearse /tmp/rehearsal

PostgreSQL, Temporal's server, a mosquitto with TLS and accounts, migrate, worker and api run as the file says, each as
its own user, in a network namespace (deploy/without_containers.py). A campaign goes through it: paused and resumed over
HTTP, its worker killed, Temporal stopped and started, the ledger proven at the end. Standing in for others: FCM and
DynamoDB from the sandbox, a customer's database with read-only access, invented people, devices on MQTT.

Needs root, Linux, Debian's postgresql, postgresql-contrib, mosquitto and mosquitto-clients, openssl, and a folder
(--programs) with temporal, temporal-server and temporal-sql-tool of the versions in docker-compose.yml.
"""

import argparse
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Engine, text

from db.engine import create_database_engine
from deploy.compose_file import ComposeFile, read_compose_file, variables
from deploy.devices import Device
from deploy.image import build_image
from deploy.without_containers import DRUMBEAT, ROOT, Processes
from sandbox.dynamodb import DynamoDbServer, create_locks_table
from sandbox.fcm import FcmSimulator
from sandbox.people import Behaviour, World, invent_world, seed_devices, seed_dynamodb, seed_mapping

COMPOSE = ROOT / "docker-compose.yml"
API = "http://127.0.0.1:8000"
BROKER = ("localhost", 8883)
TTL_SECONDS = 20
SERVERS = ("postgres", "temporal", "mosquitto", "worker", "api")
JOBS = ("temporal-schema", "temporal-namespace", "mosquitto-accounts", "migrate")


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
        self.fcm = self.running.enter_context(FcmSimulator(self._open(self.folder / "fcm")))
        self.dynamodb = self.running.enter_context(DynamoDbServer(self.folder / "dynamodb"))
        self._make_certificates()
        compose = self._compose()
        self.stack = self._processes(compose)
        say("docker compose up")
        for name in ("postgres", "temporal-namespace"):
            self.stack.up(name)
        self._populate(world, compose)
        for name in SERVERS:
            self.stack.up(name)
        say("docker compose up, once more: every job must succeed again")
        for name in JOBS:
            self.stack.up(name)
        devices = self._connect_devices(world)
        self._check_health()
        self._campaign(world, devices)
        for name in reversed(SERVERS):
            say(f"docker compose stop {name}: ended with {self.stack.stop(name)}")

    def _make_certificates(self) -> None:
        subprocess.run(  # noqa: S603 - our own script
            [str(ROOT / "deploy/certificates.sh"), "mqtt.example"],
            env={"PATH": "/usr/bin:/bin", "CERTIFICATES": str(self.folder / "certificates")},
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _compose(self) -> ComposeFile:
        must = {variable.name for variable in variables(COMPOSE.read_text()) if variable.operator == ":?"}
        self.environment = {name: secrets.token_hex(32) for name in must} | {
            "CAMPAIGN_CLICK_URL": "https://go.example",
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._readable("GOOGLE_APPLICATION_CREDENTIALS")),
            "LOCKS_DATABASE_URL": f"postgresql://locks_reader:{secrets.token_hex(8)}@postgres:5432/customer",
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb.url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "LOCK_BATTERY_SCHEDULE": "off",
        }
        return read_compose_file(COMPOSE, self.environment)

    def _processes(self, compose: ComposeFile) -> Processes:
        google = {name: self.fcm.environment[name] for name in ("HTTPS_PROXY", "NO_PROXY")}
        google["REQUESTS_CA_BUNDLE"] = str(self._readable("REQUESTS_CA_BUNDLE"))
        return Processes(
            compose,
            self.folder,
            {
                "": self.programs,
                DRUMBEAT: self.folder / "image" / "drumbeat" / "bin",
                "postgres": max(Path("/usr/lib/postgresql").glob("*/bin")),
            },
            {"./deploy/certificates": self.folder / "certificates"},
            google,
        )

    def _populate(self, world: World, compose: ComposeFile) -> None:
        """The customer's data, which Drumbeat may read and no more."""
        self.stack.up("migrate")
        superuser = f"postgresql://postgres:{self.environment['POSTGRES_PASSWORD']}@127.0.0.1:5432"
        reader = self.environment["LOCKS_DATABASE_URL"].split(":")[2].split("@")[0]
        with engine_of(f"{superuser}/postgres") as server, server.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.execute(text("create database customer"))
            alone.execute(text(f"create role locks_reader login password '{reader}'"))
        with engine_of(f"{superuser}/customer") as customer:
            seed_mapping(world, customer)
            with customer.begin() as connection:
                connection.execute(text("grant select on lock_user_mapping to locks_reader"))
        ours = compose.services["api"].environment["DATABASE_URL"]
        with engine_of(ours) as engine:
            seed_devices(world, engine)
        with closing(self.dynamodb.client()) as tables:
            create_locks_table(tables, "locks")
            seed_dynamodb(world, tables, "locks", "last_battery_check")

    def _connect_devices(self, world: World) -> list[Device]:
        """Each has an account of its own at the broker, made as the documents say."""
        accounts = "/mosquitto/data/accounts"
        passwords = {device.mqtt_client_id: secrets.token_hex(8) for device in world.devices}
        for name, password in passwords.items():
            made = self.stack.execute("mosquitto", ["mosquitto_passwd", "-b", accounts, name, password])
            if made.returncode:
                raise AssertionError(made.stderr)
        self.stack.running["mosquitto"].send_signal(1)  # docker compose kill --signal HUP mosquitto
        authority = self.folder / "certificates" / "ca.crt"
        devices = [
            self.running.enter_context(
                Device(BROKER, authority, device.mqtt_client_id, passwords[device.mqtt_client_id], API)
            )
            for device in world.devices
            if device.behaviour not in {Behaviour.OFFLINE, Behaviour.NEVER}
        ]
        say(f"{len(devices)} devices of {len(passwords)} are connected by TLS, each with an account of its own")
        first, second = devices[:2]
        say(
            f"a device that speaks for another: PUBACK {first.publish(f'acks/{second.name}')}, for itself: "
            f"{first.publish(f'acks/{first.name}')}"
        )
        first.listen(f"dev/{second.name}/cmd")
        self.eavesdropper, self.overheard = first, second
        return devices

    def _check_health(self) -> None:
        for name in SERVERS:
            answer = self.stack.healthy(name)
            say(f"health of {name}: {answer.returncode} {(answer.stdout + answer.stderr).strip()}")

    def _campaign(self, world: World, devices: list[Device]) -> None:
        self.key = self._key()
        say(f"without a key: {httpx2.get(f'{API}/api/v1/runs', trust_env=False).status_code}")
        began = time.monotonic()
        order = {"campaign": "lock_battery", "parameters": {"ttl_seconds": TTL_SECONDS}}
        run = self._ask("POST", "/api/v1/runs", json=order, headers={"idempotency-key": "rehearsal"})["run_id"]
        expected = world.expected.targeted

        self._until("a quarter is handed over", lambda: self._accepted() > expected / 4)
        paused = self._ask("POST", f"/api/v1/runs/{run}/pause")
        at_pause = self._accepted()
        time.sleep(3)
        say(f"paused at {at_pause} handed over ({paused['in_flight']} in flight); 3 s later: {self._accepted()}")
        self._ask("POST", f"/api/v1/runs/{run}/resume")

        self._until("half is handed over", lambda: self._accepted() > expected / 2)
        self.stack.kill("worker")
        say(f"worker killed with -9 at {self._accepted()} handed over; its health: {self._worker_health()}")
        self.stack.start("worker")
        self.stack.await_healthy("worker")
        say(f"a new worker is healthy; {self._accepted()} handed over")

        code = self.stack.stop("temporal")
        say(f"Temporal stopped ({code}); readyz: {self._readyz()}; worker: {self._worker_health()}")
        self.stack.start("temporal")
        self.stack.await_healthy("temporal")
        self._until("the API is ready again", lambda: self._readyz() == 200)  # noqa: PLR2004 - OK
        say(f"Temporal is back after a restart; {self._accepted()} handed over")

        self._until("the run is closed", lambda: self._ask("GET", f"/api/v1/runs/{run}")["run"]["state"] == "closed")
        seconds = time.monotonic() - began
        self._report(run, seconds, devices)

    def _report(self, run: str, seconds: float, devices: list[Device]) -> None:
        proof = self.stack.execute("api", ["drumbeat", "proof", run])
        print(proof.stdout)  # noqa: T201 - a script
        stand = self._ask("GET", f"/api/v1/runs/{run}")
        say(f"{seconds:.1f} s; {stand}")
        answered = sum(device.acknowledged for device in devices)
        say(
            f"FCM accepted {len(self.fcm.accepted)}; devices received {sum(device.received for device in devices)} by "
            f"MQTT and acknowledged {answered}; overheard by another: {self.eavesdropper.foreign}"
        )
        if proof.returncode:
            raise AssertionError("the ledger does not balance")

    def _key(self) -> str:
        words = ["drumbeat", "key", "create", "rehearsal", "--scope", "operate", "--scope", "view"]
        return self.stack.execute("api", words).stdout.strip()

    def _ask(self, method: str, path: str, **request: Any) -> Any:  # noqa: ANN401 - JSON
        headers = {"authorization": f"Bearer {self.key}", **request.pop("headers", {})}
        answer = httpx2.request(method, f"{API}{path}", headers=headers, timeout=30, trust_env=False, **request)
        return answer.raise_for_status().json()

    def _readyz(self) -> int:
        return httpx2.get(f"{API}/readyz", timeout=10, trust_env=False).status_code

    def _worker_health(self) -> str:
        answer = self.stack.healthy("worker")
        return f"{answer.returncode} {(answer.stdout + answer.stderr).strip().splitlines()[-1:]}"

    def _accepted(self) -> int:
        return len(self.fcm.accepted)

    def _until(self, what: str, happened: Callable[[], bool]) -> None:
        give_up = time.monotonic() + 240
        while not happened():
            if time.monotonic() > give_up:
                raise AssertionError(f"never happened: {what}\n{self.stack.tail('worker')}")
            time.sleep(0.1)

    def _readable(self, setting: str) -> Path:
        """As docs/operations.md asks: the container's user must be able to read it."""
        file = Path(self.fcm.environment[setting])
        file.chmod(0o644)
        return file

    def _open(self, folder: Path) -> Path:
        folder.mkdir()
        return folder


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    engine = create_database_engine(url, pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()


def say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)  # noqa: T201 - a script


if __name__ == "__main__":
    main()
