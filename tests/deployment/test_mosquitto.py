"""The broker with the very configuration, rules and scripts that compose mounts: who may do what. Needs mosquitto."""

import getpass
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from channels.interface import AddressUnreachableError, NotPermittedError
from channels.mqtt import MqttChannel
from deploy.devices import Device
from sandbox.ports import LOOPBACK, free_port
from tests.channels.conformance import an_outgoing

ROOT = Path(__file__).resolve().parents[2]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/bin"
TAKEN, NO_SUBSCRIBERS, NOT_PERMITTED = 0, 16, 135
SECONDS = 10
DRUMBEATS = "of-drumbeat"
"""Its password."""


@dataclass(frozen=True)
class Broker:
    folder: Path
    certificates: Path
    devices_port: int
    drumbeat_port: int

    def run(self, script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """One of the container's scripts, its paths replaced."""
        return subprocess.run(  # noqa: S603 - our own script
            ["/bin/sh", str(self.translated(script))],
            env={"PATH": PATH, **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def translated(self, name: str) -> Path:
        places = {
            "/mosquitto/config": self.folder / "config",
            "/mosquitto/data": self.folder / "data",
            "/mosquitto/certificates": self.certificates,
            "8883": self.devices_port,
            "8884": self.drumbeat_port,
        }
        text = (ROOT / "deploy" / "mosquitto" / name).read_text()
        for there, here in places.items():
            text = text.replace(there, str(here))
        copy = self.folder / "config" / name
        copy.write_text(text)
        return copy

    def add_account(self, name: str, password: str) -> None:
        accounts = str(self.folder / "data" / "accounts")
        subprocess.run(["mosquitto_passwd", "-b", accounts, name, password], env={"PATH": PATH}, check=True)  # noqa: S603, S607 - invented

    def device(self, account: str, password: str | None = None) -> Device:
        place = ("localhost", self.devices_port)
        return Device(place, self.certificates / "ca.crt", account, password or f"of-{account}")

    def channel(self, password: str = DRUMBEATS) -> MqttChannel:
        url = f"mqtts://drumbeat:{password}@localhost:{self.drumbeat_port}"
        return MqttChannel(url, self.certificates / "ca.crt", connect_seconds=SECONDS)


@pytest.fixture(scope="module")
def broker(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    program = shutil.which("mosquitto", path=PATH)
    if program is None or not shutil.which("mosquitto_sub", path=PATH):
        pytest.skip("mosquitto or mosquitto-clients is not installed here")
    broker = Broker(tmp_path_factory.mktemp("mosquitto"), certificates, free_port(), free_port())
    for folder in ("config", "data"):
        (broker.folder / folder).mkdir()
    assert broker.run("accounts.sh", MQTT_PASSWORD=DRUMBEATS).returncode == 0
    for name in ("till-1", "till-2"):
        broker.add_account(name, f"of-{name}")
    broker.translated("acl")
    configuration = broker.translated("mosquitto.conf")
    # As root it would become another user, who cannot read this test's folder.
    configuration.write_text(f"{configuration.read_text()}\nuser {getpass.getuser()}\n")
    process = subprocess.Popen([program, "-c", str(configuration)], stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        await_port(process, broker.drumbeat_port)
        yield broker
    finally:
        process.terminate()
        process.wait(SECONDS)


def await_port(process: "subprocess.Popen[bytes]", port: int) -> None:
    while process.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection((LOOPBACK, port), SECONDS):
            return
    pytest.fail("mosquitto ended at once")


def test_a_device_gets_what_drumbeat_sends_it(broker: Broker) -> None:
    channel = broker.channel()
    with broker.device("till-1") as device:
        channel.prepare()
        channel.send(an_outgoing(), "till-1")
        device.await_received(1)
    channel.close()


def test_who_has_never_come_is_told_at_once(broker: Broker) -> None:
    channel = broker.channel()
    channel.prepare()
    with pytest.raises(AddressUnreachableError):
        channel.send(an_outgoing(), "till-of-nobody")
    channel.close()


def test_a_device_speaks_for_itself_alone(broker: Broker) -> None:
    with broker.device("till-1") as device:
        for topic in ("acks/till-1", "presence/till-1"):
            assert device.publish(topic) in {TAKEN, NO_SUBSCRIBERS}
        for topic in ("acks/till-2", "presence/till-2", "dev/till-2/cmd", "dev/till-1/cmd", "anything"):
            assert device.publish(topic) == NOT_PERMITTED


def test_a_device_hears_nothing_of_another(broker: Broker) -> None:
    channel = broker.channel()
    with broker.device("till-1") as curious, broker.device("till-2") as device:
        for topic in ("dev/till-2/cmd", "dev/+/cmd", "#"):
            curious.listen(topic)
        channel.prepare()
        channel.send(an_outgoing(), "till-2")
        device.await_received(1)
        before = curious.received
        channel.send(an_outgoing(), "till-1")  # what would have come before it has come
        curious.await_received(before + 1)
        assert curious.foreign == 0
    channel.close()


def test_no_device_takes_over_anothers_session(broker: Broker) -> None:
    """With its own account and the other's client id."""
    channel = broker.channel()
    place = ("localhost", broker.devices_port)
    with broker.device("till-2") as device:
        thief = Device(place, broker.certificates / "ca.crt", "till-1", "of-till-1", client_id="till-2")
        with thief:
            channel.prepare()
            channel.send(an_outgoing(), "till-2")
            device.await_received(1)
            before = thief.received
            channel.send(an_outgoing(), "till-1")  # what would have come before it has come
            thief.await_received(before + 1)
            assert thief.foreign == 0
    channel.close()


def test_without_the_right_password_nobody_comes_in(broker: Broker) -> None:
    channel = broker.channel(password="guessed")
    with pytest.raises(NotPermittedError):
        channel.prepare()
    channel.close()
    with pytest.raises(PermissionError, match="Not authorized"), broker.device("till-1", "guessed"):
        pass


def test_workers_share_the_account_and_keep_their_connections(broker: Broker) -> None:
    channels = [broker.channel(), broker.channel()]
    with broker.device("till-1") as device:
        for channel in channels:
            channel.prepare()
        for count, channel in enumerate([*channels, *channels], 1):
            channel.send(an_outgoing(), "till-1")
            device.await_received(count)
    assert [channel._connection._losses for channel in channels] == [0, 0]
    for channel in channels:
        channel.close()


def test_the_health_check_connects_as_a_client_does(broker: Broker) -> None:
    healthy = broker.run("healthy.sh")
    assert healthy.returncode == 0, healthy.stderr
    assert "seconds" in healthy.stdout


def test_the_accounts_of_devices_outlive_the_next_start(broker: Broker) -> None:
    accounts, password = broker.folder / "data" / "accounts", broker.folder / "data" / "health-password"
    before = password.read_text()
    assert broker.run("accounts.sh", MQTT_PASSWORD=DRUMBEATS).returncode == 0
    named = {line.partition(":")[0] for line in accounts.read_text().splitlines()}
    assert named == {"drumbeat", "health", "till-1", "till-2"}
    assert password.read_text() == before
    assert DRUMBEATS not in accounts.read_text()
    assert accounts.stat().st_mode & 0o077 == 0
