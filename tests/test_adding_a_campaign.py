"""The page `docs/adding-a-campaign.md`, followed: its file is written, found, rehearsed and run on the real engine."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, insert, text
from temporalio.client import Client

from activities.dry_run import DryRun, DryRunner
from activities.starting import Started, StartOrder, start_and_write_down
from campaigns.campaign import Campaign
from campaigns.registry import Registry, find_campaigns
from channels.interface import Outgoing
from db.engine import create_database_engine, transaction
from db.figures import RunFigures, campaign_figures
from db.tables import Device, Message
from domain.holdout import is_held_out
from domain.house_rules import NO_HOUSE_RULES
from domain.ids import run_workflow_id
from domain.states import MessageState
from sandbox.dynamodb import KEY, DynamoDbServer, create_locks_table, put_locks
from sources.locks import Locks
from tests.campaign_page import NAME, code, more_campaigns, promised, write_campaign
from tests.db.scene import HASHER
from tests.fakes import People
from tests.stage import Stage
from workflows.workers import WorkerParts

FIELD = "last_battery_check"
HOLDOUT = 30.0
BY_NIGHT_TOO = {"opens": 0, "closes": 24}
QUICK = {"window": BY_NIGHT_TOO, "ttl_seconds": 1, "holdout_percent": HOLDOUT, "measured_for_days": 3 / 86400}

HALF_A_YEAR, MONTHS, LONG_AGO = timedelta(days=180), timedelta(days=100), timedelta(days=300)
NEIGHBOURS = [f"neighbour-{number:02}" for number in range(60)]
OWNERS = {
    "front-door": ["ada"],
    "back-door": ["ada", "ben"],
    "shed": ["cyd"],
    "cellar": ["dan"],
    **{f"lock-of-{neighbour}": [neighbour] for neighbour in NEIGHBOURS},
}
"""By lock. Ben has no phone, but a device; Cyd has neither; Dan's lock was checked in summer; the barn is nobody's."""
WITHOUT_PHONE = {"ben", "cyd"}


EVERYBODY = {"ada", "ben", *NEIGHBOURS}
"""Who can be reached."""


def drawn(person: str, key: str) -> bool:
    return is_held_out(run_workflow_id(NAME, key), person, HOLDOUT)


def held_out(key: str) -> set[str]:
    """Ada and Ben share a lock, and so the fate of the one who is first in the alphabet."""
    return {person for person in EVERYBODY if drawn("ada" if person == "ben" else person, key)}


def a_telling_key() -> str:
    """Its own each time, since Temporal knows the earlier ones, and one whose lot leaves something to see."""
    while True:
        key = uuid4().hex
        if not drawn("ada", key) and not drawn("cyd", key) and len(held_out(key)) > 10:
            return key


KEY_OF_THE_RUN = a_telling_key()
HELD_OUT = held_out(KEY_OF_THE_RUN)
TOLD = EVERYBODY - HELD_OUT
WHO_THEN_CHECK = {neighbour for neighbour in NEIGHBOURS[:30] if neighbour in TOLD}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """With the page's own campaign in it."""
    with more_campaigns(tmp_path / "campaigns") as folder:
        write_campaign(folder, code())
        yield find_campaigns({}, {})


@pytest.fixture
def campaign(registry: Registry) -> Campaign[Any]:
    return registry[NAME]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_database_engine(database_url)
    yield engine
    engine.dispose()


@dataclass(frozen=True)
class Customer:
    """Whose locks these are: the two tables, and the real source that reads them."""

    locks: Locks
    check: Callable[[str], None]
    """Somebody checks this lock's battery, now."""


@pytest.fixture
def customer(server_folder: Path, engine: Engine) -> Iterator[Customer]:
    as_of = datetime.now(UTC)
    with DynamoDbServer(server_folder / f"dynamodb-{uuid4().hex}") as server, closing(server.client()) as client:
        create_locks_table(client, "locks")
        put = partial(put_locks, client, "locks")
        put({KEY: lock, FIELD: (as_of - LONG_AGO).isoformat()} for lock in [*OWNERS, "barn"] if lock != "cellar")
        put([{KEY: "cellar", FIELD: (as_of - MONTHS).isoformat()}])
        _map_owners(engine)
        yield Customer(
            Locks(server.client, "locks", FIELD, engine),
            lambda lock: put([{KEY: lock, FIELD: datetime.now(UTC).isoformat()}]),
        )


def _map_owners(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table public.lock_user_mapping (lock_id text, user_id text, fcm_id text)"))
        for lock, owners in OWNERS.items():
            for owner in owners:
                token = None if owner in WITHOUT_PHONE else f"token:{owner}"
                row = {"lock": lock, "owner": owner, "token": token}
                connection.execute(text("insert into public.lock_user_mapping values (:lock, :owner, :token)"), row)
        connection.execute(insert(Device).values(id="hub", owner_id="ben", platform="hub", mqtt_client_id="hub"))


@dataclass
class Winter(Stage):
    """The stage, with the page's campaign and the customer's locks."""

    sources: Mapping[str, Any] = field(default_factory=dict)

    def parts(self, client: Client) -> WorkerParts:
        return replace(super().parts(client), sources=self.sources)

    async def begin(self, parameters: dict[str, Any]) -> Started:
        order = StartOrder(NAME, parameters, KEY_OF_THE_RUN, None, "test")
        return await start_and_write_down(self.client, self.engine, self.registry, order, self.queue)

    def sent(self) -> dict[str, tuple[str, str, str]]:
        """By recipient: the channel that took it, and what it said."""
        whom = {message.id: message.recipient_id for message in self.stored(Message)}
        accepted = [(name, message) for name, channel in self.channels.items() for message, *_ in channel.accepted]
        assert len(accepted) == len({message.dedupe_id for _, message in accepted})
        return {whom[message.dedupe_id]: (name, message.title, message.body) for name, message in accepted}


@pytest.fixture
def winter(engine: Engine, temporal_client: Client, registry: Registry, customer: Customer) -> Winter:
    return Winter(engine, temporal_client, People([]), registry=registry, sources={"locks": customer.locks})


def test_the_pages_campaign_runs_to_its_end_and_says_what_the_page_promises(winter: Winter, customer: Customer) -> None:
    def check_when_told(message: Outgoing, address: str) -> None:
        if address.removeprefix("token:") in WHO_THEN_CHECK:
            customer.check(message.data["lock_id"])

    async def scenario() -> None:
        winter.channels["fcm"].behave = check_when_told
        async with winter.working():
            winter.let_devices_acknowledge("mqtt")
            run_id = (await winter.begin(QUICK)).run_id
            run = await winter.closed(run_id)
            assert (run.targeted, run.left_out) == (3 + len(NEIGHBOURS), {"fresh": 1, "unmapped": 1})
            await winter.until("all outcomes are read", lambda: winter.run(run_id).measured_at is not None)
        proof = winter.proof(run_id)
        assert proof.balanced
        assert proof.states == {
            MessageState.DELIVERED: 1,
            MessageState.SENT: len(TOLD) - 1,
            MessageState.SUPPRESSED: 1,
            MessageState.HELD_OUT: len(HELD_OUT),
        }

    asyncio.run(scenario())
    expected = {neighbour: ("fcm", *promised(f"lock-of-{neighbour}")) for neighbour in TOLD & {*NEIGHBOURS}}
    expected |= {"ada": ("fcm", *promised("back-door", "front-door")), "ben": ("mqtt", *promised("back-door"))}
    assert winter.sent() == expected
    assert_measured(figures_of(winter))


def figures_of(winter: Winter) -> RunFigures:
    with transaction(winter.engine) as session:
        [figures] = campaign_figures(session, NAME)
        return figures


def assert_measured(figures: RunFigures) -> None:
    assert figures.effectiveness
    assert figures.effectiveness.helped == len(WHO_THEN_CHECK) > 5
    assert figures.effectiveness.subjects == len(OWNERS) - 1 - len(HELD_OUT)
    assert figures.lift
    assert figures.lift.held_out == len(HELD_OUT) > 10
    assert figures.lift.held_out_share == 0
    assert figures.lift.lift == figures.lift.treated_share


def dry_run(winter: Winter, campaign: Campaign[Any], **parameters: object) -> DryRun:
    runner = DryRunner(winter.engine, winter.channels, winter.sources, HASHER, NO_HOUSE_RULES)
    return runner.predict(campaign, winter.registry.parameters(NAME, QUICK | parameters))


def test_its_dry_run_says_who_would_get_what(winter: Winter, campaign: Campaign[Any]) -> None:
    said = dry_run(winter, campaign)
    # Its lot is its own: each run draws anew.
    assert said.not_sent["no_address"] == 1
    assert 0 < said.not_sent["held_out"] < len(EVERYBODY)
    assert said.by_channel.total() + said.not_sent["held_out"] == len(EVERYBODY)
    assert set(said.by_channel) <= {"fcm", "mqtt"}
    assert said.left_out == {"fresh": 1, "unmapped": 1}
    assert winter.stored(Message) == []


def test_its_dry_run_says_who_would_wait_for_the_window_in_oslo(winter: Winter, campaign: Campaign[Any]) -> None:
    hour = datetime.now(ZoneInfo("Europe/Oslo")).hour
    closed = {"opens": hour + 2, "closes": hour + 3} if hour <= 21 else {"opens": 0, "closes": hour - 1}
    assert dry_run(winter, campaign, window=closed).deferred == {"window": len(EVERYBODY)}
