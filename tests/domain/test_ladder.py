"""The ladder, branch by branch, in virtual time."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import chain, repeat

import pytest

from domain.ladder import UNSETTLED_FOR, AttemptFacts, Done, MessageFacts, RunFacts, Send, Wait, following_channel
from domain.persons import PersonFacts, RecentSend
from domain.plan import Plan, Rung
from domain.proof import difference
from domain.rules import Cap, SendWindow
from domain.states import AttemptState, Awaited, FailureKind, HoldReason, MessageState, RunState
from tests.domain.virtual import MESSAGE, START, Answer, VirtualRun

FCM, MQTT = "fcm", "mqtt"
HOUR = timedelta(hours=1)
BOTH = {FCM: ("token",), MQTT: ("device",)}
ANSWERS = frozenset({Awaited.ACKNOWLEDGEMENT, Awaited.CLICK})


def a_plan(**changes: object) -> Plan:
    ladder = (
        Rung(channel=FCM, ttl_seconds=3600, retries_unknown=True),
        Rung(channel=MQTT, ttl_seconds=3600, retries_unknown=True),
    )
    return Plan.model_validate({"ladder": ladder, "awaits": ANSWERS, **changes})


def a_run(*answers: Answer, plan: Plan | None = None, **message: object) -> VirtualRun:
    planned = MessageFacts(MESSAGE, MessageState.PLANNED, addresses=BOTH, acknowledges=True)
    every: Iterable[Answer] = chain(answers, repeat(AttemptState.SENT))
    return VirtualRun(plan or a_plan(), replace(planned, **message), iter(every))  # type: ignore[arg-type] # by name


def test_silence_on_both_rungs_ends_as_expired_after_both_ttls() -> None:
    run = a_run()
    assert run.drive() == Done(MessageState.EXPIRED)
    assert run.sent_at == [(START, FCM), (START + HOUR, MQTT)]
    assert run.now == START + 2 * HOUR


def test_an_acknowledgement_ends_it_at_once() -> None:
    run = a_run()
    run.look()
    run.acknowledge()
    assert run.look() == Done(MessageState.DELIVERED)


def test_silence_of_an_ordinary_phone_is_normal_and_ends_as_sent() -> None:
    run = a_run(addresses={FCM: ("token",)}, acknowledges=False)
    assert run.drive() == Done(MessageState.SENT)
    assert run.now == START + HOUR


def test_a_plan_that_awaits_nothing_ends_with_the_first_hand_over() -> None:
    run = a_run(plan=a_plan(awaits=frozenset()), acknowledges=False)
    assert run.drive() == Done(MessageState.SENT)
    assert run.sent_at == [(START, FCM)]


def test_a_dead_token_gives_way_to_the_next_one_of_the_same_channel() -> None:
    run = a_run(FailureKind.ADDRESS_REJECTED, addresses={FCM: ("dead", "alive"), MQTT: ("device",)})
    assert run.look() == Send(FCM, "dead")
    assert run.look() == Send(FCM, "alive")


def test_an_address_that_an_earlier_run_found_dead_is_not_tried() -> None:
    run = a_run(addresses={FCM: ("dead", "alive")})
    run.person = PersonFacts(rejected={FCM: frozenset({"dead"})})
    assert run.look() == Send(FCM, "alive")


@pytest.mark.parametrize("failure", [FailureKind.UNREACHABLE, FailureKind.MESSAGE_REJECTED])
def test_a_refusal_for_good_falls_back_at_once(failure: FailureKind) -> None:
    run = a_run(failure)
    run.look()
    assert run.look() == Send(MQTT, "device")


def test_nobody_to_be_reached_at_all_is_suppressed_and_not_failed() -> None:
    assert a_run(addresses={}).drive() == Done(MessageState.SUPPRESSED, "no_address")


def test_all_rungs_refused_ends_as_failed() -> None:
    assert a_run(FailureKind.UNREACHABLE, FailureKind.UNREACHABLE).drive() == Done(MessageState.FAILED)


def test_a_fallback_that_fails_leaves_what_was_sent_before_as_expired() -> None:
    assert a_run(AttemptState.SENT, FailureKind.UNREACHABLE).drive() == Done(MessageState.EXPIRED)


def test_a_busy_provider_is_asked_again_on_the_same_rung_and_later_each_time() -> None:
    run = a_run(*[FailureKind.BUSY] * 3)
    run.drive(until=lambda: bool(run.sent_at))
    waits = [step for step in run.steps if isinstance(step, Wait)]
    assert [step.reason for step in waits] == [HoldReason.PROVIDER_BUSY] * 3
    assert run.sent_at[0][1] == FCM
    first, second, third = (step.until - START for step in waits if step.until)
    assert third - second > second - first


def test_a_provider_that_stays_busy_gives_way_to_the_next_rung() -> None:
    run = a_run(*[FailureKind.BUSY] * 20)
    run.drive(until=lambda: bool(run.sent_at))
    assert run.sent_at[0][1] == MQTT


def test_an_unknown_try_is_repeated_where_the_channel_permits_it_and_counted() -> None:
    run = a_run(*[AttemptState.UNKNOWN] * 3)
    run.drive(until=lambda: bool(run.sent_at))
    assert [attempt.channel for attempt in run.message.attempts] == [FCM, FCM, FCM, MQTT]


def test_an_unknown_try_is_never_repeated_nor_followed_where_the_channel_forbids_it() -> None:
    ladder = (Rung(channel=FCM, ttl_seconds=3600), Rung(channel=MQTT, ttl_seconds=3600))
    run = a_run(AttemptState.UNKNOWN, plan=a_plan(ladder=ladder))
    assert run.drive() == Done(MessageState.UNKNOWN)
    assert len(run.message.attempts) == 1


def test_a_try_in_flight_is_left_alone_until_it_must_be_dead() -> None:
    sending = AttemptFacts(1, FCM, "token", AttemptState.SENDING, START)
    run = a_run(attempts=(sending,))
    assert run.look() == Wait(START + UNSETTLED_FOR, HoldReason.IN_FLIGHT)


def test_a_paused_run_sends_nothing_and_the_wait_has_no_end() -> None:
    run = a_run()
    run.pause()
    assert run.look() == Wait(None, HoldReason.PAUSED)


def test_a_pause_shifts_the_deadline_by_exactly_its_length() -> None:
    run = a_run()
    run.look()
    run.now += timedelta(minutes=10)
    run.pause()
    run.now += timedelta(days=3)
    assert run.look() == Wait(None, HoldReason.PAUSED)
    run.resume()
    assert run.look() == Wait(START + HOUR + timedelta(days=3), HoldReason.AWAITING)


def test_what_is_sent_when_a_run_is_cancelled_is_awaited_to_its_deadline_without_a_fallback() -> None:
    run = a_run()
    run.look()
    run.cancel()
    assert run.look() == Wait(START + HOUR, HoldReason.AWAITING)
    assert run.drive() == Done(MessageState.EXPIRED)
    assert len(run.sent_at) == 1


def test_what_was_not_sent_when_a_run_is_cancelled_is_withdrawn() -> None:
    run = a_run(FailureKind.BUSY)
    run.look()
    run.cancel()
    assert run.drive() == Done(MessageState.WITHDRAWN, "run_cancelled")


def test_what_may_have_been_sent_when_a_run_is_cancelled_stays_unknown() -> None:
    run = a_run(AttemptState.UNKNOWN)
    run.look()
    run.cancel()
    assert run.drive() == Done(MessageState.UNKNOWN)


def test_a_message_beyond_the_released_share_is_held() -> None:
    run = a_run(position=11)
    run.run = RunFacts(RunState.RUNNING, START, released_up_to=10)
    assert run.look() == Wait(None, HoldReason.NOT_RELEASED)


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.SCHEDULED])
def test_nothing_is_sent_before_the_run_has_started(state: RunState) -> None:
    run = a_run()
    run.run = RunFacts(state, START)
    assert run.look() == Wait(None, HoldReason.NOT_STARTED)


def test_a_fallback_that_comes_more_than_one_ttl_late_is_not_sent() -> None:
    run = a_run()
    run.look()
    run.now = START + 2 * HOUR + timedelta(seconds=1)
    assert run.drive() == Done(MessageState.EXPIRED)
    assert len(run.sent_at) == 1


def test_valid_until_ends_what_waits_for_its_window_and_says_so() -> None:
    plan = a_plan(window=SendWindow(opens=18, closes=20), valid_for_seconds=3600)
    run = a_run(plan=plan)
    assert run.look() == Wait(START + HOUR, HoldReason.WINDOW)
    assert run.drive() == Done(MessageState.SUPPRESSED, "window")


def test_valid_until_ends_what_a_pause_held_back() -> None:
    run = a_run(plan=a_plan(valid_for_seconds=3600))
    run.pause()
    assert run.drive() == Done(MessageState.SUPPRESSED, "paused")


def test_the_window_is_the_recipients_own_and_knows_summer_time() -> None:
    run = a_run(plan=a_plan(window=SendWindow(opens=9, closes=18)))
    run.person = PersonFacts(zone="America/New_York")
    run.now = START.replace(day=7, hour=23)  # the last evening before the clocks go forward
    step = run.look()
    assert isinstance(step, Wait)
    assert step.until
    opens = START.replace(day=8, hour=13)  # 09:00 in New York, already in summer time
    assert opens <= step.until < opens + timedelta(minutes=1)


def test_a_zone_that_nobody_knows_is_as_one_that_is_not_known() -> None:
    run = a_run(plan=a_plan(window=SendWindow(opens=9, closes=18), zone="Asia/Tokyo"))
    run.person = PersonFacts(zone="Europe/Olso")
    step = run.look()  # at nine in London, when it is six in the evening in Tokyo
    assert isinstance(step, Wait)
    assert step.reason is HoldReason.WINDOW


def test_a_plan_with_a_zone_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'Europe/Olso' is not a time zone; use a name such as Europe/Berlin"):
        a_plan(zone="Europe/Olso")


def test_a_cap_defers_until_the_oldest_sending_leaves_it() -> None:
    run = a_run(plan=a_plan(caps=(Cap(count=1, days=7), Cap(count=3, days=30)), priority=9))
    run.person = PersonFacts(recent_sends=(RecentSend(START - timedelta(days=2), 9),))
    assert run.look() == Wait(START + timedelta(days=5), HoldReason.CAP)


def test_a_fallback_is_the_same_message_and_is_not_capped() -> None:
    run = a_run(plan=a_plan(caps=(Cap(count=1, days=7),)))
    run.look()
    run.person = PersonFacts(recent_sends=(RecentSend(START, 5),))
    run.now = START + HOUR
    assert run.look() == Send(MQTT, "device")


def test_what_has_ended_stays_ended_whatever_happens_around_it() -> None:
    run = a_run()
    run.message = replace(run.message, state=MessageState.WITHDRAWN, ended=True)
    assert run.look() == Done(MessageState.WITHDRAWN)


def test_the_following_channel_is_known_while_the_first_is_awaited() -> None:
    run = a_run()
    assert following_channel(run.message, run.plan, run.person) == FCM
    run.look()
    assert following_channel(run.message, run.plan, run.person) == MQTT


def test_the_proof_sees_a_state_that_the_attempts_do_not_make() -> None:
    run = a_run()
    run.drive()
    assert difference(run.message) is None
    broken = difference(replace(run.message, state=MessageState.DELIVERED))
    assert broken
    assert broken.expected is MessageState.EXPIRED
