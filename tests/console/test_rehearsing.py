"""`drumbeat rehearse` from end to end, on an invented world: to the screen, into a file, and for a script."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from db.engine import transaction
from db.tables import Run
from domain.forecast import Forecast
from sandbox.dynamodb import DynamoDbServer, create_locks_table
from sandbox.people import invent_world, seed_devices, seed_dynamodb, seed_mapping
from tests.console.terminal import Said, Terminal

WORLD = invent_world(locks=40, seed=3, as_of=datetime.now(UTC))
MONDAY = "2026-11-23T23:30:00+01:00"
Rehearsed = Callable[..., Said]


@pytest.fixture(scope="module")
def dynamodb(server_folder: Path) -> Iterator[DynamoDbServer]:
    with DynamoDbServer(server_folder / "dynamodb-of-the-command") as server:
        client = server.client()
        create_locks_table(client, "locks")
        seed_dynamodb(WORLD, client, "locks", "last_battery_check")
        client.close()
        yield server


@pytest.fixture
def rehearsed(drumbeat: Terminal, engine: Engine, dynamodb: DynamoDbServer) -> Iterator[Rehearsed]:
    seed_mapping(WORLD, engine)
    seed_devices(WORLD, engine)

    def rehearse(*words: str) -> Said:
        return drumbeat("rehearse", "lock_battery", *words, MQTT_URL="mqtt://127.0.0.1", **dynamodb.environment)

    yield rehearse
    with transaction(engine) as session:
        assert not session.scalars(select(Run)).all()


def test_the_command_shows_the_forecast_and_writes_it_where_it_is_told(rehearsed: Rehearsed, tmp_path: Path) -> None:
    file = tmp_path / "forecast.json"
    said = rehearsed("--at", MONDAY, "--json", str(file))
    assert said.code == 0, said.err
    forecast = Forecast.model_validate_json(file.read_text())
    assert forecast.targeted == WORLD.expected.targeted > 0
    assert f"{forecast.targeted} people are targeted. Nothing was stored, nothing was sent." in said.out
    assert "It would start on Mon 23 Nov 2026 22:30 (all times in UTC)." in said.out
    assert "Off, and no rung of it: fcm." in said.out
    assert "quiet hours" in said.out
    assert [each.reason for each in forecast.put_off] == ["quiet_hours"]
    assert forecast.put_off[0].messages == forecast.channels[0].sends


def test_for_a_script_there_is_nothing_but_json(rehearsed: Rehearsed) -> None:
    said = rehearsed("--json", "-", "--seed", "4")
    assert said.code == 0, said.err
    assert json.loads(said.out)["seed"] == 4
