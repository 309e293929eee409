import socket
from dataclasses import replace
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest
from firebase_admin import messaging
from firebase_admin.exceptions import DeadlineExceededError

from channels.fcm import FcmChannel
from channels.fcm.encoding import encoded
from channels.fcm.transport import HandOver, handing_over
from channels.interface import (
    AddressRejectedError,
    AddressUnreachableError,
    ChannelError,
    MessageRejectedError,
    NotPermittedError,
    OutcomeUnknownError,
    ProviderBusyError,
)
from channels.payload import payload
from sandbox.fcm import Fault as FcmFault
from sandbox.fcm import FcmSimulator
from sandbox.fcm.service_account import ServiceAccount
from sandbox.ports import LOOPBACK
from tests.channels.conformance import (
    IMPATIENT_SECONDS,
    an_outgoing,
    assert_tells_an_operator,
)
from tests.channels.fcm.conftest import SLOW_SECONDS, Build


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        (FcmFault.DEAD, AddressRejectedError, "UNREGISTERED"),
        (FcmFault.MISMATCH, AddressUnreachableError, "SENDER_ID_MISMATCH"),
        (FcmFault.INVALID, AddressRejectedError, "INVALID_ARGUMENT"),
        (FcmFault.DENIED, NotPermittedError, "THIRD_PARTY_AUTH_ERROR"),
        (FcmFault.QUOTA, ProviderBusyError, "QUOTA_EXCEEDED"),
        (FcmFault.BUSY503, ProviderBusyError, "UNAVAILABLE"),
        (FcmFault.ERROR500, OutcomeUnknownError, "INTERNAL"),
        (FcmFault.ERROR502, OutcomeUnknownError, "HTTP_502"),
        (FcmFault.MOVED, OutcomeUnknownError, "HTTP_307"),
        (FcmFault.CUT, OutcomeUnknownError, "CONNECTION_BROKEN"),
        (FcmFault.GARBAGE, OutcomeUnknownError, "UNREADABLE_ANSWER"),
    ],
)
def test_each_answer_has_its_meaning_and_costs_one_request(
    channel: FcmChannel, simulator: FcmSimulator, fault: FcmFault, error: type[Exception], code: str
) -> None:
    address = f"phone-{fault}-{uuid4()}:APA91b-of-an-invented-person"
    before = simulator.outcomes.total()
    with pytest.raises(error) as caught:
        channel.send(an_outgoing(), address)
    assert simulator.outcomes.total() == before + 1
    assert isinstance(caught.value, ChannelError | OutcomeUnknownError)
    assert caught.value.code == code
    assert_tells_an_operator(caught.value, address)


def test_a_token_that_google_does_not_know_is_our_fault_and_costs_one_request(
    environment: dict[str, str], simulator: FcmSimulator, tmp_path: Path
) -> None:
    foreign = FcmChannel(ServiceAccount(tmp_path).file, app_name=f"test-{uuid4()}")
    before = simulator.outcomes.total()
    with pytest.raises(NotPermittedError, match="UNAUTHENTICATED"):
        foreign.send(an_outgoing(), "phone:1")
    foreign.close()
    assert simulator.outcomes.total() == before + 1


def test_a_message_that_fcm_calls_malformed_is_no_fault_of_the_address(channel: FcmChannel) -> None:
    with pytest.raises(MessageRejectedError, match="INVALID_ARGUMENT"):
        channel.send(replace(an_outgoing(), data={"google.reserved": "x"}), "phone:1")


def test_what_the_sdk_cannot_encode_is_rejected_before_it_leaves(channel: FcmChannel, simulator: FcmSimulator) -> None:
    before = simulator.outcomes.total()
    with pytest.raises(MessageRejectedError, match="NOT_ENCODABLE"):
        channel.send(replace(an_outgoing(), data=cast("dict[str, str]", {"count": 3})), "phone:1")
    assert simulator.outcomes.total() == before


def test_the_phone_receives_the_device_contract_and_every_platform_its_limits(
    channel: FcmChannel, simulator: FcmSimulator
) -> None:
    message = an_outgoing()
    receipt = channel.send(message, "phone:1")
    (push,) = (push for push in simulator.accepted if push.message_id == str(message.message_id))
    contract = payload(message)
    assert {"title": push.title, "body": push.body, **push.data} == contract
    assert not push.data.keys() & {"title", "body"}
    assert push.ttl_seconds == message.ttl_seconds
    assert push.collapse_key == str(message.dedupe_id)
    assert push.apns_headers["apns-expiration"] == str(int(message.expires_at.timestamp()))
    assert push.apns_headers["apns-collapse-id"] == str(message.dedupe_id)
    assert receipt.provider_id == push.name


def test_an_answer_that_dribbles_in_does_not_outlast_the_time_out(build: Build, simulator: FcmSimulator) -> None:
    message = an_outgoing()
    with pytest.raises(OutcomeUnknownError, match="NO_ANSWER"):
        build(timeout_seconds=SLOW_SECONDS / 3).send(message, "phone-dribble:1")
    assert str(message.message_id) in {push.message_id for push in simulator.accepted}


def test_a_slow_provider_is_waited_for(channel: FcmChannel) -> None:
    assert channel.send(an_outgoing(), "phone-slow:1").provider_id


def test_a_proxy_that_never_answers_means_that_nothing_was_taken(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{silent.getsockname()[1]}")
        with pytest.raises(ProviderBusyError, match="NOT_CONNECTED"):
            build(timeout_seconds=IMPATIENT_SECONDS).send(an_outgoing(), "phone:1")


def test_a_request_that_was_called_off_never_leaves(channel: FcmChannel, simulator: FcmSimulator) -> None:
    hand_over = HandOver(begin_within_seconds=60)
    assert hand_over.call_off()
    before = simulator.outcomes.total()
    with handing_over(hand_over), pytest.raises(DeadlineExceededError):
        messaging.send(encoded(an_outgoing(), "phone:1"), app=channel._app)
    assert simulator.outcomes.total() == before


def test_one_hand_over_is_one_request_whatever_the_sdk_tries(channel: FcmChannel, simulator: FcmSimulator) -> None:
    before = simulator.outcomes.total()
    with handing_over(HandOver(begin_within_seconds=60)):
        messaging.send(encoded(an_outgoing(), "phone:1"), app=channel._app)
        with pytest.raises(DeadlineExceededError):
            messaging.send(encoded(an_outgoing(), "phone:1"), app=channel._app)
    assert simulator.outcomes.total() == before + 1


def test_a_request_that_has_begun_cannot_be_called_off() -> None:
    hand_over = HandOver(begin_within_seconds=60)
    assert hand_over.begin()
    assert not hand_over.call_off()


def test_a_request_does_not_begin_late() -> None:
    assert not HandOver(begin_within_seconds=-1).begin()
