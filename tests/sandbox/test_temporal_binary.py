from pathlib import Path

import pytest

from sandbox import temporal_binary
from sandbox.temporal_binary import TemporalNotFoundError, find_or_install

GENUINE = "echo temporal version 1.2.3"


def write_program(path: Path, script: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder on PATH that a test fills, before the system's own."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path / "bin"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the world can be reached must not decide a test."""
    monkeypatch.setattr(temporal_binary, "_download", lambda _aside, _progress: None)


def test_temporal_on_the_path_is_taken_first(on_path: Path, cache: Path) -> None:
    program = write_program(on_path / "temporal", GENUINE)
    write_program(cache / "temporal", GENUINE)
    assert find_or_install(print, cache=cache) == program


def test_another_program_of_that_name_is_passed_over(on_path: Path, cache: Path) -> None:
    write_program(on_path / "temporal", "echo a clock")
    cached = write_program(cache / "temporal", GENUINE)
    assert find_or_install(print, cache=cache) == cached


@pytest.mark.usefixtures("no_download")
def test_go_builds_it_when_nothing_else_has_it(on_path: Path, cache: Path, tmp_path: Path) -> None:
    genuine = write_program(tmp_path / "genuine", GENUINE)
    write_program(on_path / "go", f'cp {genuine} "$GOBIN/temporal"')
    (cache / "installing-killed").mkdir(parents=True)
    said: list[str] = []
    assert find_or_install(said.append, cache=cache) == cache / "temporal"
    assert any("Building Temporal's server with Go" in line for line in said)
    assert sorted(path.name for path in cache.iterdir()) == ["lock", "temporal"]


@pytest.mark.usefixtures("no_download")
def test_what_to_do_is_said_when_no_way_works(on_path: Path, cache: Path) -> None:
    write_program(on_path / "go", "echo no compiler; exit 1")
    said: list[str] = []
    with pytest.raises(TemporalNotFoundError, match=r"(?s)on PATH.*install Go.*TEMPORAL_ADDRESS"):
        find_or_install(said.append, cache=cache)
    assert any("no compiler" in line for line in said)
    assert [path.name for path in cache.iterdir()] == ["lock"]
