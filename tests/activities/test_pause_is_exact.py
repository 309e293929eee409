"""After the answer to a pause nothing is handed over any more: 20 pauses while 50 senders work, on real locks."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from threading import Event
from uuid import UUID

import pytest

from activities.advance import Delivery
from activities.orders import MessageOrder
from channels.interface import Outgoing
from db import control
from tests.db.scene import HASHER, Scene
from tests.fakes import FakeChannel, FakeLinks, a_person

SENDERS = 50
PAUSES = 20
MESSAGES = 800
SLOWEST_HAND_OVER = 0.05


def hand_over_slowly(_: Outgoing, __: str) -> None:
    """Between the claim and the write to the socket; the channel stamps the message afterwards."""
    time.sleep(random.uniform(0, SLOWEST_HAND_OVER))  # noqa: S311 - it keeps no secret


@dataclass
class Traffic:
    """Fifty senders on one run, who go on with their message until it has gone out."""

    scene: Scene
    run_id: UUID
    channel: FakeChannel = field(default_factory=lambda: FakeChannel("fcm", hand_over_slowly))
    answered: list[tuple[datetime, datetime]] = field(default_factory=list)
    """(when a pause had answered, when the resume after it was asked for)."""
    moves: Event = field(default_factory=Event)
    """Whether held messages may ask again, as after Sweep's call."""
    done: Event = field(default_factory=Event)

    def flow(self, meanwhile: Callable[[], None]) -> None:
        waiting: SimpleQueue[UUID] = SimpleQueue()
        for message_id in self.scene.ids(self.run_id):
            waiting.put(message_id)
        with ThreadPoolExecutor(SENDERS) as pool:
            senders = [pool.submit(self._send, waiting) for _ in range(SENDERS)]
            try:
                meanwhile()
            finally:
                self.done.set()
                self.moves.set()
            for sender in senders:
                sender.result()

    def _send(self, waiting: "SimpleQueue[UUID]") -> None:
        delivery = Delivery(self.scene.engine, {"fcm": self.channel}, FakeLinks(), HASHER)
        while not self.done.is_set():
            try:
                message_id = waiting.get(timeout=0.1)
            except Empty:
                continue
            step = delivery.advance(MessageOrder(message_id=message_id, channel="fcm"))
            if step.reason == "paused":
                waiting.put(message_id)
                self.moves.wait()

    def pause_and_resume(self, times: int = PAUSES) -> None:
        for _ in range(times):
            self.moves.set()
            self._await_some_hand_overs()
            self.moves.clear()
            control.pause(self.scene.engine, self.run_id, "test")
            paused = datetime.now(UTC)
            time.sleep(0.06)  # longer than the slowest hand-over: one that is late has its chance to show
            self.answered.append((paused, datetime.now(UTC)))
            control.resume(self.scene.engine, self.run_id, "test")

    def _await_some_hand_overs(self) -> None:
        """A random number, so that the pause comes at a random moment in the middle of the traffic."""
        goal = len(self.channel.accepted) + random.randint(3, 25)  # noqa: S311 - it keeps no secret
        give_up = time.monotonic() + 20
        while len(self.channel.accepted) < goal:
            assert time.monotonic() < give_up, f"the traffic stands still at {len(self.channel.accepted)} hand-overs"
            time.sleep(0.002)

    def late(self) -> list[timedelta]:
        """How long after a pause's answer, for each hand-over between it and the resume."""
        stamps = [at for _, _, at in self.channel.accepted]
        return [at - paused for paused, resumed in self.answered for at in stamps if paused < at < resumed]


@pytest.fixture
def traffic(scene: Scene) -> Traffic:
    return Traffic(scene, scene.opened(*(a_person(number) for number in range(MESSAGES))))


def test_no_message_is_handed_over_after_a_pause_has_answered(traffic: Traffic) -> None:
    traffic.flow(traffic.pause_and_resume)
    assert len(traffic.answered) == PAUSES
    assert traffic.late() == []
    assert len({message.dedupe_id for message, _, _ in traffic.channel.accepted}) == len(traffic.channel.accepted)
    assert traffic.scene.proof(traffic.run_id).balanced


def test_a_pause_that_did_not_wait_for_the_claims_in_flight_would_be_seen(
    traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: without the wait, hand-overs come after the answer."""
    monkeypatch.setattr(control, "_wait_for_hand_overs", lambda *_: 0)
    traffic.flow(lambda: traffic.pause_and_resume(times=5))
    assert traffic.late()
