import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the documented script makes."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


def make_certificates(folder: Path) -> None:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "CERTIFICATES": str(folder)}
    script = str(ROOT / "deploy" / "certificates.sh")
    subprocess.run([script, "mqtt.example", "192.0.2.7"], env=environment, check=True)  # noqa: S603 - our own
