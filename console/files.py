"""Files that a command writes: whether it can is asked before anything is done."""

import os
from pathlib import Path

import typer

from domain.problems import ProblemError


class FileError(ProblemError):
    def __init__(self, error: OSError) -> None:
        super().__init__(f"{error.filename}: {error.strerror}")


def is_standard_output(file: Path | None) -> bool:
    return str(file) == "-"


def writable(file: Path | None) -> Path | None:
    """For an option's `callback`. Raises BadParameter."""
    if file is not None and not is_standard_output(file) and (why := _obstacle(file)):
        raise typer.BadParameter(f"{file} cannot be written: {why}; name another file")
    return file


def _obstacle(file: Path) -> str | None:
    if file.is_dir():
        return "it is a folder"
    if not file.parent.is_dir():
        return f"there is no folder {file.parent}"
    return None if os.access(file if file.exists() else file.parent, os.W_OK) else "this user may not"
