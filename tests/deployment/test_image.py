"""The Dockerfile, and what it makes: the wheel of what reaches the build, run without the repository."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

import pytest

from deploy.image import build_wheel, context, is_let_in
from sandbox.postgres import PostgresServer
from tests.deployment.test_compose import OURS
from tests.environment import COMPLETE

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKED = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


def instructions() -> Iterator[tuple[str, str]]:
    """Of the Dockerfile: (word, arguments), lines that go on joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, arguments = line.partition(" ")
        yield word, arguments


def of(word: str) -> list[str]:
    return [arguments for each, arguments in instructions() if each == word]


def locked(file: str) -> dict[str, str]:
    return dict(LOCKED.findall((ROOT / file).read_text()))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[>;]", requirement)[0].lower() for requirement in requirements}


def test_its_base_is_pinned() -> None:
    bases = {base.partition(" ")[0] for base in of("FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.1[1-3]\.\d+-slim-trixie", bases.pop())


def test_it_ends_as_the_ordinary_user_that_compose_names() -> None:
    assert of("USER") == [next(iter(OURS.values())).user]
    assert list(instructions())[-2:] == [("ENTRYPOINT", '["drumbeat"]'), ("CMD", '["--help"]')]
    assert PROJECT["scripts"].keys() == {"drumbeat"}


def test_what_it_copies_is_there_and_reaches_the_build() -> None:
    copied = [words.split()[:-1] for words in of("COPY") if not words.startswith("--from")]
    assert copied == [["deploy/requirements.lock", "deploy/build.lock"], ["."]]
    assert all((ROOT / path).is_file() and is_let_in(Path(path)) for path in copied[0])


def test_nothing_reaches_the_build_that_the_image_does_not_need() -> None:
    tops = {path.parts[0] for path in context()}
    assert not tops & {"sandbox", "tests", "docs", "benchmarks", ".git", ".drumbeat"}
    assert {path.as_posix() for path in context() if path.parts[0] == "deploy"} == {
        "deploy/build.lock",
        "deploy/requirements.lock",
    }
    for private in (".env", "api/.env", "deploy/certificates/broker.key", "deploy/credentials/fcm.json"):
        assert not is_let_in(Path(private))


def test_every_package_is_locked_by_its_hash_to_the_version_that_is_tested() -> None:
    everything, deployed, building = map(locked, ("requirements.lock", "deploy/requirements.lock", "deploy/build.lock"))
    assert deployed.items() | building.items() <= everything.items(), "run `make lock`"
    assert names(PROJECT["dependencies"]) <= deployed.keys()
    text = (ROOT / "deploy/requirements.lock").read_text()
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[\w.-]+==)", text))


def test_no_package_of_the_sandbox_or_of_our_tools_is_in_the_image() -> None:
    extras = PROJECT["optional-dependencies"]
    # What a library of the deployment needs itself comes with it.
    needed_anyway = {"anyio", "cryptography"}
    assert not names(extras["sandbox"] + extras["dev"]) - needed_anyway & locked("deploy/requirements.lock").keys()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("image"))


def test_the_wheel_holds_every_file_that_reaches_the_build(wheel: Path) -> None:
    packed = set(ZipFile(wheel).namelist())
    outside = {"pyproject.toml", "README.md", "LICENSE", "deploy/build.lock", "deploy/requirements.lock"}
    assert {path.as_posix() for path in context()} - packed == outside
    for folder, kind in (("migrations/versions", "*.py"), ("api/pages", "*.html"), ("api/pages/assets", "*")):
        files = [path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob(kind) if path.is_file()]
        assert files
        assert set(files) <= packed


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", f"--target={folder}"]
    subprocess.run([*command, str(wheel)], check=True)  # noqa: S603 - our own wheel
    return folder


def drumbeat(installed: Path, folder: Path, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """By an interpreter that knows neither the repository nor a package that the image has not."""
    packages = Path(pytest.__file__).parent.parent
    deployed = {name.replace("_", "-") for name in locked("deploy/requirements.lock")}
    missing = {
        module
        for module, distributions in packages_distributions().items()
        if not {name.lower().replace("_", "-") for name in distributions} & deployed and module != "__pycache__"
    } - {path.stem for path in installed.iterdir()}
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({sorted(missing)}))\n"
        f"import cli; assert cli.__file__.startswith({str(installed)!r})\n"
        "cli.main()"
    )
    return subprocess.run(  # noqa: S603 - our own wheel
        [sys._base_executable, "-P", "-c", program, *words],  # type: ignore[attr-defined] # venv's own way out
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "PYTHONPATH": f"{installed}:{packages}", **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_wheel_runs_without_the_repository(installed: Path, tmp_path: Path) -> None:
    said = drumbeat(installed, tmp_path, "--help")
    assert (said.returncode, said.stderr) == (0, "")
    assert " worker " in said.stdout


def test_the_wheel_makes_the_tables(installed: Path, tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database(f"empty_{uuid4().hex}")
    for _ in range(2):
        said = drumbeat(installed, tmp_path, "migrate", **{**COMPLETE, "DATABASE_URL": url})
        assert (said.returncode, said.stdout) == (0, "The schema drumbeat is up to date.\n"), said.stderr


@pytest.mark.parametrize("command", ["worker", "api", "health"])
def test_no_command_of_a_deployment_needs_another_package(installed: Path, tmp_path: Path, command: str) -> None:
    """All is imported before the settings are read."""
    said = drumbeat(installed, tmp_path, command)
    assert said.returncode == 1
    assert "DATABASE_URL is not set" in said.stderr
    assert "Traceback" not in said.stderr
