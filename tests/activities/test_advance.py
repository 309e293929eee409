"""The one sending activity: prepare, claim, hand over in time, record; each step on the real database."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from temporalio import activity

from activities.advance import Delivery
from activities.orders import MessageOrder, NextStep
from channels.interface import (
    AddressUnreachableError,
    ChannelError,
    NotPermittedError,
    OutcomeUnknownError,
    Outgoing,
    ProviderBusyError,
)
from db import control
from domain.hand_over import (
    ADVANCE_TIMEOUT,
    CHANNEL_TIMEOUT,
    HAND_OVER_LIMIT,
    SHUTDOWN_GRACE,
    STOP_TIMEOUT,
    check_nesting,
)
from domain.ladder import UNSETTLED_FOR
from tests.db.scene import HASHER, Scene, a_plan
from tests.fakes import FakeChannel, FakeLinks, a_person
from workflows.policies import ADVANCE
from workflows.workers import STICKY_FOR


class Clock:
    """Each look at it is `step` seconds after the one before."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def advance(scene: Scene, channel: FakeChannel, message_id: UUID, clock: Callable[[], float] | None = None) -> NextStep:
    clocks = {"monotonic": clock} if clock else {}
    delivery = Delivery(scene.engine, {channel.name: channel}, FakeLinks(), HASHER, **clocks)
    return delivery.advance(MessageOrder(message_id=message_id, channel=channel.name))


@pytest.fixture
def fcm() -> FakeChannel:
    return FakeChannel("fcm")


@pytest.fixture
def message_id(scene: Scene) -> UUID:
    [message_id] = scene.ids(scene.opened(a_person(0)))
    return message_id


def test_what_travels_names_the_attempt_and_the_message_and_how_long_it_is_good_for(
    scene: Scene, fcm: FakeChannel, message_id: UUID
) -> None:
    step = advance(scene, fcm, message_id)
    [(outgoing, address, _)] = fcm.accepted
    [attempt] = scene.attempts(message_id)
    assert (outgoing.message_id, outgoing.dedupe_id, address) == (attempt.id, message_id, "token:person-0000")
    assert (outgoing.title, outgoing.body) == ("Probe", "for person-0000")
    assert outgoing.expires_at - outgoing.sent_at == timedelta(hours=1)
    assert outgoing.ack_token == f"token-of-{attempt.id}"
    assert attempt.provider_id == f"fcm-{attempt.id}"
    assert (step.kind, step.reason, step.channel) == ("wait", "awaiting", "mqtt")
    assert step.seconds is not None
    assert 3590 < step.seconds <= 3600


def test_past_the_hand_over_limit_nothing_is_sent_and_the_number_is_not_used_again(
    scene: Scene, fcm: FakeChannel, message_id: UUID
) -> None:
    step = advance(scene, fcm, message_id, Clock(HAND_OVER_LIMIT.total_seconds() + 0.001))
    assert fcm.calls == []
    assert scene.attempt_states(message_id) == [(1, "released")]
    assert (step.kind, step.reason) == ("wait", "hand_over_limit")
    scene.rewind(message_id, timedelta(seconds=2))
    advance(scene, fcm, message_id)
    assert scene.attempt_states(message_id) == [(1, "released"), (2, "sent")]
    assert len(fcm.calls) == 1


def test_within_the_limit_it_is_sent(scene: Scene, fcm: FakeChannel, message_id: UUID) -> None:
    advance(scene, fcm, message_id, Clock(HAND_OVER_LIMIT.total_seconds() - 0.001))
    assert len(fcm.calls) == 1


def test_the_limit_counts_from_before_the_claim_and_not_from_before_the_preparation(
    scene: Scene, fcm: FakeChannel, message_id: UUID
) -> None:
    clock = Clock(0)
    fcm.prepared = lambda: setattr(clock, "now", clock.now + 5)
    advance(scene, fcm, message_id, clock)
    assert len(fcm.calls) == 1


def test_a_wait_for_the_claims_locks_counts(scene: Scene, fcm: FakeChannel, message_id: UUID) -> None:
    """Time spent between the first look at the clock and the provider's call, wherever it was spent."""
    ticks = iter([0.0, 1.1])
    advance(scene, fcm, message_id, lambda: next(ticks))
    assert fcm.calls == []


@pytest.mark.parametrize("error", [ProviderBusyError("503", "overloaded"), NotPermittedError("401", "wrong key")])
def test_a_channel_that_cannot_be_prepared_claims_nothing(
    scene: Scene, fcm: FakeChannel, message_id: UUID, error: ChannelError
) -> None:
    def refuse() -> None:
        raise error

    fcm.prepared = refuse
    step = advance(scene, fcm, message_id)
    assert (step.kind, step.reason, step.seconds) == ("wait", "provider_busy", 15)
    assert scene.attempts(message_id) == []


def test_a_preparation_that_says_when_to_come_again_is_obeyed(scene: Scene, fcm: FakeChannel, message_id: UUID) -> None:
    def refuse() -> None:
        raise ProviderBusyError("429", "quota", retry_after=90)

    fcm.prepared = refuse
    assert advance(scene, fcm, message_id).seconds == 90


def test_on_the_queue_of_a_channel_that_is_off_a_message_is_held_and_not_lost(scene: Scene, message_id: UUID) -> None:
    delivery = Delivery(scene.engine, {}, FakeLinks(), HASHER)
    step = delivery.advance(MessageOrder(message_id=message_id, channel="fcm"))
    assert (step.kind, step.reason) == ("wait", "provider_busy")
    assert scene.message(message_id).hold_reason == "provider_busy"


@pytest.mark.parametrize(
    ("error", "became"),
    [
        (ProviderBusyError("503", "overloaded", retry_after=30), ("failed", "provider_busy")),
        (OutcomeUnknownError("cut", "the connection broke"), ("unknown", "provider_busy")),
        (AddressUnreachableError("16", "no session"), ("failed", None)),
    ],
)
def test_what_the_provider_said_is_kept_on_the_attempt(
    scene: Scene, fcm: FakeChannel, message_id: UUID, error: ChannelError, became: tuple[str, str | None]
) -> None:
    def refuse(_: Outgoing, __: str) -> None:
        raise error

    fcm.behave = refuse
    step = advance(scene, fcm, message_id)
    [attempt] = scene.attempts(message_id)
    assert (attempt.error_code, attempt.error_text) == (error.code, error.text)
    assert (attempt.state, step.reason) == became


def test_a_pause_between_two_steps_is_obeyed(scene: Scene, fcm: FakeChannel) -> None:
    run_id = scene.opened(a_person(0))
    [message_id] = scene.ids(run_id)
    control.pause(scene.engine, run_id, "test")
    step = advance(scene, fcm, message_id)
    assert (step.kind, step.reason, step.seconds) == ("wait", "paused", None)
    assert fcm.calls == []


def test_a_worker_that_died_in_the_call_leaves_a_message_that_a_later_try_takes_up_as_unknown(
    scene: Scene, fcm: FakeChannel, message_id: UUID
) -> None:
    class Killed(BaseException):
        """As a kill: nothing of ours runs after it."""

    def die(_: Outgoing, __: str) -> None:
        raise Killed

    fcm.behave = die
    with pytest.raises(Killed):
        advance(scene, fcm, message_id)
    fcm.behave = lambda *_: None
    waits = advance(scene, fcm, message_id)
    assert (waits.kind, waits.reason) == ("wait", "in_flight")
    assert len(fcm.calls) == 1
    scene.rewind(message_id, UNSETTLED_FOR)
    advance(scene, fcm, message_id)
    assert scene.attempt_states(message_id) == [(1, "unknown"), (2, "sent")]


def test_where_it_may_not_be_repeated_a_dead_try_is_not(scene: Scene, fcm: FakeChannel) -> None:
    [message_id] = scene.ids(scene.opened(a_person(0), plan=a_plan(retries_unknown=False)))
    scene.claim(message_id)
    scene.rewind(message_id, UNSETTLED_FOR)
    step = advance(scene, fcm, message_id)
    assert (step.kind, step.state) == ("done", "unknown")
    assert fcm.calls == []


def test_an_erased_message_is_done(scene: Scene, fcm: FakeChannel, message_id: UUID) -> None:
    scene.erase(message_id)
    step = advance(scene, fcm, message_id)
    assert (step.kind, step.state) == ("done", "erased")


def test_a_worker_that_is_told_to_stop_does_not_break_off_a_send() -> None:
    definition = activity._Definition.must_from_callable(Delivery.advance)
    assert definition.no_thread_cancel_exception


def test_the_time_outs_nest() -> None:
    check_nesting(CHANNEL_TIMEOUT)
    assert ADVANCE["start_to_close_timeout"] == ADVANCE_TIMEOUT
    assert CHANNEL_TIMEOUT < ADVANCE_TIMEOUT < UNSETTLED_FOR < SHUTDOWN_GRACE < STOP_TIMEOUT
    assert timedelta(seconds=2) == STICKY_FOR


@pytest.mark.parametrize("seconds", [9, 15, 60])
def test_a_channel_whose_time_out_is_too_long_is_refused_at_start(seconds: int) -> None:
    with pytest.raises(ValueError, match="must be shorter than"):
        check_nesting(timedelta(seconds=seconds))
