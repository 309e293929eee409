"""The page `docs/adding-a-campaign.md`, taken apart: its code, as a campaign among the others, and its commands."""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import campaigns

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "adding-a-campaign.md").read_text()
NAME = "lock_winter"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def code() -> str:
    [shown] = blocks("python")
    return shown


def commands() -> list[str]:
    typed = [line for block in blocks("console") for line in block.splitlines()]
    return sorted({*typed, *re.findall(r"`(drumbeat [^`]+)`", PAGE)})


def promised(*locks: str) -> tuple[str, str]:
    """Title and body as the page shows them, for these locks."""
    [shown] = blocks("text")
    title, body = shown.splitlines()
    return title, body.replace("back-door, front-door", ", ".join(locks))


@contextmanager
def more_campaigns(folder: Path) -> Iterator[Path]:
    """One more folder in which campaigns are found; nothing of it stays."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(campaigns, "__path__", [*campaigns.__path__, str(folder)])
        yield folder
    for file in folder.glob("*.py"):
        forget(file.stem)


def write_campaign(folder: Path, text: str) -> None:
    (folder / f"{NAME}.py").write_text(text)
    forget(NAME)
    importlib.invalidate_caches()


def forget(module: str) -> None:
    """As in a new process; each test has its own file of that name."""
    sys.modules.pop(f"campaigns.{module}", None)
    vars(campaigns).pop(module, None)
