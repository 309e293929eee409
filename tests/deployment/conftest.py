import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the documented script makes."""
    folder = tmp_path_factory.mktemp("certificates")
    made = make_certificates(folder, "mqtt.example", "192.0.2.7", "2001:db8::7")
    assert made.returncode == 0, made.stderr
    return folder


def make_certificates(folder: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    """Skips the test where openssl is not installed."""
    if not shutil.which("openssl", path=TOOLS):
        pytest.skip("openssl is not installed here")
    return subprocess.run(  # noqa: S603 - our own script
        [str(ROOT / "deploy" / "certificates.sh"), *names],
        env={"PATH": TOOLS, "CERTIFICATES": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
