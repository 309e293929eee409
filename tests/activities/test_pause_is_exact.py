"""After the answer to a pause nothing is handed over any more: 20 pauses while 50 senders work, on real locks."""

import random
import time
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
SLOWEST_HAND_OVER = 0.05


@dataclass
class Traffic:
    """Fifty senders on one run. Before each pause fifty messages more are let in, so that all have something to do."""

    scene: Scene
    run_id: UUID
    slowest: float = SLOWEST_HAND_OVER
    answered: list[tuple[datetime, datetime]] = field(default_factory=list)
    """(when a pause had answered, when the resume after it was asked for)."""
    waiting: "SimpleQueue[UUID]" = field(default_factory=SimpleQueue)
    moves: Event = field(default_factory=Event)
    """Whether held messages may ask again, as after Sweep's call."""
    done: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.channel = FakeChannel("fcm", self._hand_over_slowly)

    def _hand_over_slowly(self, _: Outgoing, __: str) -> None:
        """Between the claim and the write to the socket; the channel stamps the message afterwards."""
        time.sleep(random.uniform(0, self.slowest))  # noqa: S311 - it keeps no secret

    def flow(self, pauses: int) -> None:
        with ThreadPoolExecutor(SENDERS) as pool:
            senders = [pool.submit(self._send) for _ in range(SENDERS)]
            try:
                self._pause_and_resume(pauses)
            finally:
                self.done.set()
                self.moves.set()
            for sender in senders:
                sender.result()

    def _send(self) -> None:
        delivery = Delivery(self.scene.engine, {"fcm": self.channel}, FakeLinks(), HASHER)
        while not self.done.is_set():
            try:
                message_id = self.waiting.get(timeout=0.1)
            except Empty:
                continue
            step = delivery.advance(MessageOrder(message_id=message_id, channel="fcm"))
            if step.reason == "paused":
                self.waiting.put(message_id)
                self.moves.wait()

    def _pause_and_resume(self, times: int) -> None:
        ids = self.scene.ids(self.run_id)
        for number in range(times):
            for message_id in ids[number * SENDERS : (number + 1) * SENDERS]:
                self.waiting.put(message_id)
            self.moves.set()
            self._await_some_hand_overs()
            self.moves.clear()
            control.pause(self.scene.engine, self.run_id, "test")
            paused = datetime.now(UTC)
            time.sleep(self.slowest)  # one that is late has its chance to show
            self.answered.append((paused, datetime.now(UTC)))
            control.resume(self.scene.engine, self.run_id, "test")

    def _await_some_hand_overs(self) -> None:
        """A random number, so that the pause comes at a random moment in the middle of the traffic."""
        goal = len(self.channel.accepted) + random.randint(1, SENDERS // 2)  # noqa: S311 - it keeps no secret
        give_up = time.monotonic() + 20
        while len(self.channel.accepted) < goal:
            assert time.monotonic() < give_up, f"the traffic stands still at {len(self.channel.accepted)} hand-overs"
            time.sleep(0.002)

    def late(self) -> list[timedelta]:
        """How long after a pause's answer, for each hand-over between it and the resume."""
        stamps = [at for _, _, at in self.channel.accepted]
        return [at - paused for paused, resumed in self.answered for at in stamps if paused < at < resumed]


def some_traffic(scene: Scene, pauses: int) -> Traffic:
    return Traffic(scene, scene.opened(*(a_person(number) for number in range(pauses * SENDERS))))


def test_no_message_is_handed_over_after_a_pause_has_answered(scene: Scene) -> None:
    traffic = some_traffic(scene, PAUSES)
    traffic.flow(PAUSES)
    assert len(traffic.answered) == PAUSES
    assert traffic.late() == []
    sent = [message.dedupe_id for message, _, _ in traffic.channel.accepted]
    assert len(sent) == len(set(sent))
    assert scene.proof(traffic.run_id).balanced


def test_a_pause_that_did_not_wait_for_the_claims_in_flight_would_be_seen(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: without the wait, hand-overs come after the answer."""
    monkeypatch.setattr(control, "_wait_for_hand_overs", lambda *_: 0)
    traffic = some_traffic(scene, 3)
    traffic.slowest = 0.5
    traffic.flow(3)
    assert traffic.late()
