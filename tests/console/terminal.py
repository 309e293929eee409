"""The command `drumbeat` as a person types it: all but the end of the process, with the text that it shows."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from cli import _run
from tests.environment import alone

WIDE = {"COLUMNS": "200"}


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Terminal:
    folder: Path
    environment: Mapping[str, str]
    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str, **settings: str) -> Said:
        """The settings are added to the environment."""
        self.capture.readouterr()
        with alone(self.folder, {**WIDE, **self.environment, **settings}), _logs_as_they_were():
            code = _code_of(words)
        shown = self.capture.readouterr()
        return Said(code, shown.out, shown.err)


def _code_of(words: tuple[str, ...]) -> int:
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(sys, "argv", ["drumbeat", *words])
        return _run()


@contextmanager
def _logs_as_they_were() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        structlog.reset_defaults()
