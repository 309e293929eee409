"""What the documents say is held against the code."""

import re
from pathlib import Path

import pytest

from domain.outcomes import Arm, Outcome
from domain.states import MessageState, RunState

ROOT = Path(__file__).resolve().parent.parent
LONGEST_MODULE = 300


def test_the_readme_shows_the_campaign_file_as_it_is() -> None:
    shown = (ROOT / "campaigns" / "lock_battery.py").read_text().partition("class LockBattery")
    assert "".join(shown[1:]).rstrip() in (ROOT / "README.md").read_text()


DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_links_to_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    assert all(((ROOT / document).parent / link).exists() for link in links)


def test_every_folder_that_the_readme_names_is_there() -> None:
    table = (ROOT / "README.md").read_text().split("| folder | is |")[1].split("\n\n")[0]
    named = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
    paths = [path for cell in named for path in re.findall(r"`([^`]+)`", cell)]
    assert len(paths) > 8
    assert all((ROOT / path).exists() for path in paths)


def test_the_glossary_names_every_state_outcome_and_arm() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text()
    assert all(f"`{word}`" in text for word in [*MessageState, *RunState, *Outcome, Arm.TREATED, Arm.HELD_OUT])


def test_no_module_has_grown_beyond_one_room() -> None:
    ours = [path for path in ROOT.rglob("*.py") if not {".venv", "build", "versions"} & set(path.parts)]
    assert len(ours) > 100
    too_long = {str(path.relative_to(ROOT)): lines for path in ours if (lines := _lines(path)) > LONGEST_MODULE}
    assert not too_long


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())
