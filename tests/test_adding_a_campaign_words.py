"""What the page `docs/adding-a-campaign.md` lets a reader type, and what it says when something is wrong."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer.main
from sqlalchemy import Engine
from temporalio.testing import ActivityEnvironment
from typer.core import TyperGroup

import cli
from activities.audience import AudienceSnapshot
from activities.opening import PlanUnfitError, freeze
from campaigns.campaign import Campaign
from campaigns.registry import Registry, find_campaigns
from console.parameters import read_parameters
from db.batches import NO_TEXT
from db.engine import create_database_engine, transaction
from db.runs import get_run, open_run
from domain.house_rules import NO_HOUSE_RULES
from tests.campaign_page import NAME, PAGE, code, commands, more_campaigns, write_campaign
from tests.console.terminal import Terminal
from tests.environment import COMPLETE


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with more_campaigns(tmp_path / "campaigns") as folder:
        yield folder


@pytest.fixture
def registry(folder: Path) -> Registry:
    write_campaign(folder, code())
    return find_campaigns({}, {})


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_database_engine(database_url, pool_size=2)
    yield engine
    engine.dispose()


@pytest.fixture
def drumbeat(tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path, {**COMPLETE, "DATABASE_URL": database_url}, capsys)


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_page_is_one(command: str, registry: Registry) -> None:
    program, *words = shlex.split(command)
    assert program == "drumbeat"
    name, parameters = parsed(words)
    if name == "run":
        assert parameters["campaign"] == NAME
        registry.parameters(NAME, read_parameters(parameters["param"] or []))


def parsed(words: list[str]) -> tuple[str | None, dict[str, Any]]:
    """The command that would be run, and what it would be given; nothing is run."""
    command = typer.main.get_command(cli.app)
    context = command.make_context("drumbeat", words)
    while isinstance(command, TyperGroup):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command, context = found, found.make_context(name, rest, parent=context)
    return command.name, context.params


def test_the_page_shows_commands_and_how_ten_are_let_go_first() -> None:
    assert len(commands()) > 10
    assert any("--limit 10" in command for command in commands())
    assert any("--dry-run" in command for command in commands())


def test_what_goes_wrong_says_what_the_page_says(
    folder: Path, registry: Registry, engine: Engine, drumbeat: Terminal
) -> None:
    table = PAGE.split("## What goes wrong")[1]
    page = [
        re.split(r" \| ", row)[1].strip("`") for row in re.findall(r"^\| (?!you did|---)(.+) \|$", table, re.MULTILINE)
    ]
    said = [
        *refused_files(folder),
        *refused_commands(drumbeat),
        *unfit_plans(registry[NAME]),
        audience_that_raises(registry, engine),
        NO_TEXT,
    ]
    assert len(said) == len(page)
    assert [expected for expected in page if not any(_fits(expected, each) for each in said)] == []


def _fits(expected: str, said: str) -> bool:
    return said.startswith(expected.removesuffix("…")) if expected.endswith("…") else said == expected


def refused_files(folder: Path) -> Iterator[str]:
    yield refusal(folder, code().replace(f'name="{NAME}"', 'name="lock_battery"'), ValueError)
    yield refusal(folder, code().replace("CAMPAIGN = ", "WINTER = "), AttributeError)
    write_campaign(folder, code())


def refusal(folder: Path, text: str, kind: type[Exception]) -> str:
    write_campaign(folder, text)
    with pytest.raises(kind) as refused:
        find_campaigns({}, {})
    return str(refused.value)


def refused_commands(drumbeat: Terminal) -> Iterator[str]:
    yield drumbeat("run", "lock_wintr").err.strip()
    window = 'window={"opens": 20, "closes": 9}'
    for parameter in ("colour=red", "stale_after_days=0", window):
        yield drumbeat("run", NAME, "--param", parameter).err.strip()
        assert drumbeat("run", NAME, "--dry-run", "--param", parameter).code == 1


def unfit_plans(campaign: Campaign[Any]) -> Iterator[str]:
    for unfit in (campaign, replace(campaign, read_again=None)):
        with pytest.raises(PlanUnfitError) as refused:
            freeze(unfit, unfit.plan(unfit.parameters()), {}, NO_HOUSE_RULES)
        yield str(refused.value)


def audience_that_raises(registry: Registry, engine: Engine) -> str:
    def broken(*_: object) -> Iterator[Any]:
        raise KeyError("owner")

    found = Registry({NAME: replace(registry[NAME], audience=broken)})
    parameters = registry.parameters(NAME, {})
    with transaction(engine) as session:
        run = open_run(
            session,
            workflow_id=f"run:{NAME}-x",
            campaign=NAME,
            slot="x",
            parameters=parameters.model_dump(mode="json"),
            plan=registry[NAME].plan(parameters),
        )
    with pytest.raises(KeyError):
        ActivityEnvironment().run(AudienceSnapshot(engine, found, {"locks": None}).take_audience_snapshot, run.id)
    with transaction(engine) as session:
        return get_run(session, run.id).state_reason or ""
