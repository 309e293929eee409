"""A worker in a process of its own, so that measuring does not count as working. Argument: the file with its order.

At its end it writes down what only it knows: its threads' names, and what the SQL cost where that is asked for.
"""

import asyncio
import sys
import threading
from pathlib import Path

import uvloop
from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from activities.links import SignedLinks
from benchmarks.bare import build_bare_workers
from benchmarks.campaign import AcceptingChannel, build_registry
from benchmarks.hand_overs import HandOvers
from benchmarks.statements import StatementCost, Statements
from db.engine import create_database_engine
from domain.hashing import AddressHasher
from domain.house_rules import NO_HOUSE_RULES
from domain.tokens import Signer
from sandbox.leash import Leash, leashed
from workflows.schedules import ensure_schedules
from workflows.workers import CHANNELS, WorkerParts, build_workers, told_to_stop

_ROOT = Path(__file__).resolve().parent.parent
SLOTS = 50


class WorkerOrder(BaseModel):
    model_config = ConfigDict(frozen=True)

    temporal_address: str
    database_url: str | None
    """None: the bare engine."""
    pipe: Path
    report: Path
    slots: int = SLOTS
    secret: str
    """For signatures and hashes, made for this round."""
    count_statements: bool = False


class WorkerReport(BaseModel):
    model_config = ConfigDict(frozen=True)

    threads: dict[int, str]
    """By native id."""
    statements: dict[str, StatementCost] = Field(default_factory=dict)


def start_worker(order: WorkerOrder) -> Leash:
    """In the folder of its pipe, with nothing of our own environment."""
    folder = order.pipe.parent
    file = folder / "worker.json"
    file.touch(mode=0o600)
    file.write_text(order.model_dump_json())
    return leashed(
        [sys.executable, "-m", __name__, str(file)],
        log=folder / "worker.log",
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(_ROOT)},
        cwd=folder,
    )


async def work(order: WorkerOrder) -> None:
    statements = Statements()
    client = await Client.connect(order.temporal_address, data_converter=pydantic_data_converter)
    hand_overs = HandOvers(order.pipe)
    if order.database_url is None:
        workers = build_bare_workers(client, hand_overs, order.slots)
    else:
        workers = await _ours(order, order.database_url, client, hand_overs, statements)
    running = asyncio.gather(*(worker.run() for worker in workers))
    await told_to_stop()
    report = WorkerReport(
        threads={each.native_id: each.name for each in threading.enumerate() if each.native_id},
        statements=statements.costs,
    )
    order.report.write_text(report.model_dump_json())
    await asyncio.gather(*(worker.shutdown() for worker in workers))
    await running


async def _ours(
    order: WorkerOrder, database_url: str, client: Client, hand_overs: HandOvers, statements: Statements
) -> list[Worker]:
    engine = create_database_engine(database_url, application="drumbeat-worker")
    if order.count_statements:
        statements.watch(engine)
    secret = order.secret.encode()
    parts = WorkerParts(
        client=client,
        engine=engine,
        registry=build_registry(),
        channels={name: AcceptingChannel(name, hand_overs) for name in CHANNELS},
        sources={"invented": None},
        links=SignedLinks(Signer.of_secrets(secret), "https://click.example"),
        hash_address=AddressHasher(secret),
        house_rules=NO_HOUSE_RULES,
        slots=order.slots,
    )
    await ensure_schedules(client, parts.registry, parts.core_queue)  # Sweep is part of what is measured
    return build_workers(parts)


if __name__ == "__main__":
    uvloop.run(work(WorkerOrder.model_validate_json(Path(sys.argv[1]).read_text())))
