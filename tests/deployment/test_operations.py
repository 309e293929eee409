"""What docs/operations.md and the other pages tell people to type or to look at exists."""

import re
import shlex
from pathlib import Path

import pytest
from sqlalchemy import Engine
from temporalio.client import Client

from api.bounds import MovingWindow
from api.metrics import make_registry
from api.relay import Relay
from db.engine import create_database_engine
from tests.deployment.commands import UnknownCommandError, check_command
from tests.deployment.test_compose import COMPOSE, EXAMPLE, NOT_OURS, SETTINGS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
COMMAND = re.compile(r"\bdrumbeat ((?:[a-z]|--).*?)(?=\s{2}|`|$|[;&|()]| or )", re.MULTILINE)


def commands(page: Path) -> set[str]:
    """Every `drumbeat …` in code, up to two spaces, a quote mark or a shell's own sign."""
    return {words for code in CODE.findall(page.read_text()) for words in COMMAND.findall(code)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    for words in commands(page):
        check_command(shlex.split(words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_links_to_is_there(page: Path) -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page.read_text())]
    assert all((page.parent / link).exists() for link in links if not link.startswith("http"))


def test_commands_are_found_in_the_pages() -> None:
    assert len(commands(ROOT / "README.md")) > 10
    assert len(commands(ROOT / "docs" / "operations.md")) > 10
    assert 'key create "night shift" --scope operate' in commands(ROOT / "docs" / "operations.md")


@pytest.mark.parametrize("words", ["launch", "key", "key destroy", "run x --at-once", "health --fast"])
def test_a_command_that_does_not_exist_would_be_noticed(words: str) -> None:
    with pytest.raises(UnknownCommandError):
        check_command(words.split())


def test_every_service_that_it_names_is_in_the_compose_file() -> None:
    named = set(re.findall(r"docker compose (?:exec(?: -T)?|logs --follow|restart|ps) ([\w-]+)", OPERATIONS))
    named |= set(re.findall(r"--scale ([\w-]+)=|kill --signal HUP ([\w-]+)", OPERATIONS).pop())
    assert {"api", "worker", "postgres", "mosquitto"} <= named
    assert named - {""} <= set(COMPOSE.services)


def test_every_setting_that_it_names_exists() -> None:
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", OPERATIONS))
    assert len(named) > 10
    assert named <= SETTINGS | set(EXAMPLE) | NOT_OURS


def test_every_file_that_it_names_is_there() -> None:
    made = {"deploy/certificates/ca.crt", "deploy/certificates/ca.key", "deploy/certificates/broker.crt"}
    named = set(re.findall(r"\bdeploy/[\w./-]*\w", OPERATIONS)) - made
    assert named
    assert all((ROOT / path).exists() for path in named)


@pytest.fixture
def engine(database_url: str) -> Engine:
    return create_database_engine(database_url, pool_size=1)


def test_it_explains_every_figure_and_no_other(engine: Engine) -> None:
    async def nobody() -> Client:
        raise NotImplementedError

    registry = make_registry(engine, Relay(nobody), MovingWindow(1))
    figures = {family.name for family in registry.collect()}
    engine.dispose()
    assert set(re.findall(r"^\| `(drumbeat_\w+)` \|", OPERATIONS, re.MULTILINE)) == figures


def test_it_names_the_permissions_that_the_locks_need() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "sources").glob("*.py"))
    calls = {"Scan": "scan", "BatchGetItem": "batch_get_item", "DescribeTable": "describe_table"}
    used = {name for name, method in calls.items() if re.search(rf"\.{method}\b", code)}
    others = set(re.findall(r"client\.([a-z_]+)\(", code)) - set(calls.values()) - {"close"}
    assert not others
    assert set(re.findall(r"`dynamodb:(\w+)`", OPERATIONS)) == used
