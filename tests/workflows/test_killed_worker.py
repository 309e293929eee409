"""A worker killed with -9 in mid-run and started again: everything ends, and no double is silent."""

import asyncio
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from tests.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = 80


@contextmanager
def a_worker_process(stage: Stage, database_url: str, book: Path) -> Iterator[subprocess.Popen[bytes]]:
    """It is killed with -9 at the latest when the block is left."""
    command = [sys.executable, "-m", "tests.workflows.killable_worker", database_url]
    address = stage.client.service_client.config.target_host
    process = subprocess.Popen([*command, address, stage.queue, str(book), str(MESSAGES)], cwd=ROOT)  # noqa: S603 - ours
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def handed_over(book: Path) -> list[tuple[UUID, UUID]]:
    """(message, attempt), one for each hand-over, in their order."""
    lines = book.read_text().splitlines() if book.exists() else []
    return [(UUID(message), UUID(attempt)) for message, attempt in (line.split() for line in lines)]


def test_a_worker_killed_in_mid_run_loses_nothing_and_repeats_nothing_in_silence(
    stage: Stage, database_url: str, tmp_path: Path
) -> None:
    book = tmp_path / "hand-overs.txt"

    async def scenario() -> UUID:
        run_id = (await stage.start(batch_size=40)).run_id
        with a_worker_process(stage, database_url, book):
            await stage.until("a part is handed over", lambda: len(handed_over(book)) >= MESSAGES // 3)
        assert stage.messages(run_id, state="sending"), "the kill found no send between hand-over and record"
        with a_worker_process(stage, database_url, book):
            await stage.until("the rest is handed over", lambda: all_have_left(stage, run_id))
            for attempt in stage.attempts(run_id):
                if attempt.state == "sent":
                    await stage.acknowledge(attempt.id)
            await stage.closed(run_id)
        return run_id

    run_id = asyncio.run(scenario())
    proof = stage.proof(run_id)
    assert (proof.balanced, proof.unfinished, proof.states) == (True, 0, {"delivered": MESSAGES})
    assert_each_double_was_unknown_first(stage, run_id, book)


def all_have_left(stage: Stage, run_id: UUID) -> bool:
    return not stage.messages(run_id, state="planned") and not stage.messages(run_id, state="sending")


def assert_each_double_was_unknown_first(stage: Stage, run_id: UUID, book: Path) -> None:
    """The provider's book and the ledger, message by message."""
    attempts = defaultdict(list)
    for attempt in stage.attempts(run_id):
        attempts[attempt.message_id].append(attempt)
    written = handed_over(book)
    assert {message for message, _ in written} == set(attempts)
    assert max(Counter(attempt for _, attempt in written).values()) == 1
    doubles = [message for message, times in Counter(message for message, _ in written).items() if times > 1]
    assert doubles, "no kill hit a send: the test shows nothing"
    for message_id in doubles:
        assert [attempt.state for attempt in attempts[message_id]][:-1] == ["unknown"]
    for message_id, tries in attempts.items():
        known = {attempt.id for attempt in tries if attempt.state in {"sent", "delivered"}}
        assert known <= {attempt for message, attempt in written if message == message_id}
