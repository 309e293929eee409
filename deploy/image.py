"""What the Dockerfile makes, made without a container engine: the wheel of what .dockerignore lets in, installed."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def context() -> Iterator[Path]:
    """The files that reach the build, relative to the repository."""
    for path in sorted(ROOT.rglob("*")):
        relative = path.relative_to(ROOT)
        if path.is_file() and not {".git", ".venv"} & set(relative.parts) and is_let_in(relative):
            yield relative


def is_let_in(path: Path) -> bool:
    """The last rule of .dockerignore that fits the path, or a folder that it is in, decides."""
    ancestors = [path, *path.parents[:-1]]
    let_in = True
    for rule in (ROOT / ".dockerignore").read_text().splitlines():
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!")
        names = [each.name for each in ancestors] if pattern.startswith("**/") else [str(each) for each in ancestors]
        if any(fnmatch(name, pattern.removeprefix("**/")) for name in names):
            let_in = rule.startswith("!")
    return let_in


def build_wheel(folder: Path, python: Path = Path(sys.executable)) -> Path:
    """By this interpreter's setuptools, in a folder that has nothing else of the repository."""
    for relative in context():
        copy = folder / "context" / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / relative, copy)
    wheels = folder / "wheels"
    _pip(python, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={wheels}", str(folder / "context"))
    (wheel,) = wheels.glob("*.whl")
    return wheel


def build_image(folder: Path, python: Path = Path(sys.executable)) -> Path:
    """The environment that the image has in /drumbeat, from the locked packages and the wheel alone."""
    tools, drumbeat = folder / "tools", folder / "drumbeat"
    for environment, lock in ((tools, "build.lock"), (drumbeat, "requirements.lock")):
        subprocess.run([str(python), "-m", "venv", "--without-pip", str(environment)], check=True)  # noqa: S603 - ours
        _install(environment, "--require-hashes", "--only-binary=:all:", "-r", str(ROOT / "deploy" / lock))
    _install(drumbeat, "--no-deps", str(build_wheel(folder, tools / "bin" / "python")))
    return drumbeat


def _install(environment: Path, *words: str) -> None:
    _pip(environment / "bin" / "python", "install", *words)


def _pip(python: Path, *words: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(command, check=True)  # noqa: S603 - ours
