from uuid import UUID, uuid4

import pytest

from channels.fcm import FcmChannel
from sandbox.fcm import Fault as FcmFault
from sandbox.fcm import FcmSimulator
from sandbox.ports import LOOPBACK, free_port
from tests.channels.conformance import (
    IMPATIENT_SECONDS,
    Accepted,
    ChannelConformance,
    Fault,
)
from tests.channels.fcm.conftest import Build

FAULTS = {Fault.BUSY: FcmFault.QUOTA, Fault.CUT_AFTER_ACCEPT: FcmFault.CUT, Fault.HANG: FcmFault.HANG}


class FcmProvider:
    def __init__(self, simulator: FcmSimulator) -> None:
        self._simulator = simulator

    def good_address(self) -> str:
        return f"phone-{uuid4()}:APA91b-of-an-invented-person"

    def dead_address(self) -> str:
        return f"phone-dead-{uuid4()}:APA91b-of-an-invented-person"

    def accepted(self, message_id: UUID) -> list[Accepted]:
        return [
            Accepted(push.token, UUID(push.message_id), UUID(push.dedupe_id), push.title, push.body, push.collapse_key)
            for push in self._simulator.accepted
            if push.message_id == str(message_id) and push.dedupe_id
        ]

    def requests(self) -> int:
        return self._simulator.outcomes.total()

    def fail_next(self, address: str, fault: Fault) -> None:
        self._simulator.fail(address, FAULTS[fault], times=1)


class TestFcmConformance(ChannelConformance):
    busy_retry_after = 7.0

    @pytest.fixture
    def provider(self, simulator: FcmSimulator) -> FcmProvider:
        return FcmProvider(simulator)

    @pytest.fixture
    def channel(self, build: Build) -> FcmChannel:
        return build()

    @pytest.fixture
    def impatient_channel(self, build: Build) -> FcmChannel:
        return build(timeout_seconds=IMPATIENT_SECONDS)

    @pytest.fixture
    def disconnected_channel(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> FcmChannel:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{free_port()}")
        return build()
