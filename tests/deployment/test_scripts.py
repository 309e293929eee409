"""The scripts of deploy/ that need no container: run as they are, against real servers."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from sandbox.temporal_server import TemporalServer
from tests.deployment.conftest import ROOT, TOOLS, make_certificates


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_the_brokers_certificate_names_every_way_to_it(certificates: Path) -> None:
    broker, authority = (certificate(certificates / name) for name in ("broker.crt", "ca.crt"))
    broker.verify_directly_issued_by(authority)
    names = broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mosquitto", "localhost", "mqtt.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "2001:db8::7"]
    usage = broker.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_keys_are_behind_a_closed_door(certificates: Path) -> None:
    """The broker's key must be readable inside its container: the folder keeps it from others on the host."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in (certificates, *certificates.iterdir())}
    assert modes.pop(certificates.name) == 0o700
    assert modes["ca.key"] == 0o600
    assert modes["broker.key"] == 0o644


def test_a_renewal_keeps_the_authority_and_the_mounted_files(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    assert make_certificates(folder, "mqtt.example").returncode == 0
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}
    assert make_certificates(folder, "other.example").returncode == 0
    after = {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}
    assert after["ca.crt"] == before["ca.crt"]
    for name in ("broker.crt", "broker.key"):  # a container has mounted the very file
        assert after[name][0] == before[name][0]
        assert after[name][1] != before[name][1]


def test_without_a_name_it_says_what_to_give(tmp_path: Path) -> None:
    refused = make_certificates(tmp_path / "certificates")
    assert refused.returncode == 2
    assert "mqtt.example.com" in refused.stderr
    assert not (tmp_path / "certificates").exists()


@pytest.fixture
def tools(tmp_path: Path, temporal_program: Path) -> str:
    """A PATH with the program `temporal`."""
    (tmp_path / "temporal").symlink_to(temporal_program)
    return f"{tmp_path}:{TOOLS}"


def test_the_namespace_is_made_and_then_brought_up_to_date(
    tools: str, temporal_server: TemporalServer, temporal_client: Client, tmp_path: Path
) -> None:
    name = f"deployment-{os.getpid()}"

    def run(retention: str) -> "subprocess.CompletedProcess[str]":
        settings = {"TEMPORAL_ADDRESS": temporal_server.address, "TEMPORAL_NAMESPACE": name}
        return subprocess.run(  # noqa: S603 - our own script
            ["/bin/sh", str(ROOT / "deploy/temporal/namespace.sh")],
            env={"PATH": tools, "HOME": str(tmp_path), "TEMPORAL_RETENTION": retention, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def retention_days() -> float:
        found = await temporal_client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=name))
        return found.config.workflow_execution_retention_ttl.ToTimedelta().days

    for retention, days in (("45d", 45), ("45d", 45), ("60d", 60)):
        made = run(retention)
        assert made.returncode == 0, made.stderr
        assert asyncio.run(retention_days()) == days
