"""What a person's word, their clock and other campaigns do to one message, from its first look to its end."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from domain.ladder import AttemptFacts, Done, RunFacts, Send, Wait
from domain.persons import PersonFacts, RecentSend
from domain.proof import difference
from domain.rules import Cap, ConsentRule, QuietHours, SendWindow
from domain.states import AttemptState, FailureKind, HoldReason, MessageState, RunState
from tests.domain.test_ladder import FCM, HOUR, MQTT, a_plan, a_run
from tests.domain.virtual import START, VirtualRun

UNSUBSCRIBED = PersonFacts(suppressed_because="unsubscribed")
TOKEN_SUPPRESSED = PersonFacts(suppressed={FCM: {"token": "opted_out"}})
BOTH_SUPPRESSED = PersonFacts(suppressed={FCM: {"token": "complaint"}, MQTT: {"device": "opted_out"}})


def test_who_unsubscribed_is_sent_nothing_and_the_end_says_why() -> None:
    run = a_run()
    run.person = UNSUBSCRIBED
    assert run.drive() == Done(MessageState.SUPPRESSED, "unsubscribed")
    assert run.message.attempts == ()
    assert difference(run.message) is None


def test_a_suppressed_address_is_passed_over_for_the_next_rung() -> None:
    run = a_run()
    run.person = TOKEN_SUPPRESSED
    assert run.look() == Send(MQTT, "device")


def test_where_every_address_is_suppressed_the_first_reason_down_the_ladder_ends_it() -> None:
    run = a_run()
    run.person = BOTH_SUPPRESSED
    assert run.drive() == Done(MessageState.SUPPRESSED, "complaint")


def test_what_is_awaited_when_somebody_unsubscribes_runs_out_without_a_fallback() -> None:
    run = a_run()
    run.look()
    run.person = UNSUBSCRIBED
    assert run.look() == Wait(START + HOUR, HoldReason.AWAITING)
    assert run.drive() == Done(MessageState.EXPIRED)
    assert run.sent_at == [(START, FCM)]


def test_an_answer_still_counts_after_an_unsubscribe() -> None:
    run = a_run()
    run.look()
    run.person = UNSUBSCRIBED
    run.acknowledge()
    assert run.look() == Done(MessageState.DELIVERED)


@pytest.mark.parametrize("put_off", [FailureKind.BUSY, AttemptState.RELEASED])
def test_who_unsubscribes_between_two_tries_is_suppressed_and_has_not_failed(
    put_off: FailureKind | AttemptState,
) -> None:
    run = a_run(put_off)
    run.look()
    run.person = UNSUBSCRIBED
    assert run.drive() == Done(MessageState.SUPPRESSED, "unsubscribed")
    assert difference(run.message) is None


def test_a_try_that_may_have_arrived_stays_unknown_whatever_is_suppressed_since() -> None:
    run = a_run(AttemptState.UNKNOWN)
    run.look()
    run.person = UNSUBSCRIBED
    assert run.drive() == Done(MessageState.UNKNOWN)


def test_what_every_other_rung_has_refused_for_good_failed_though_one_address_is_suppressed() -> None:
    run = a_run(FailureKind.UNREACHABLE)
    run.person = TOKEN_SUPPRESSED
    assert run.drive() == Done(MessageState.FAILED)


def test_a_cancelled_run_withdraws_also_what_would_have_been_suppressed() -> None:
    run = a_run()
    run.person = UNSUBSCRIBED
    run.cancel()
    assert run.drive() == Done(MessageState.WITHDRAWN, "run_cancelled")


def test_who_is_held_out_and_suppressed_ends_as_suppressed_like_the_others() -> None:
    run = a_run(held_out=True)
    run.person = UNSUBSCRIBED
    assert run.drive() == Done(MessageState.SUPPRESSED, "unsubscribed")


def test_without_the_consent_that_is_asked_for_nothing_is_sent() -> None:
    run = a_run(plan=a_plan(consent=ConsentRule(purpose="news", opt_in=True)))
    assert run.drive() == Done(MessageState.SUPPRESSED, "no_consent")


def test_a_consent_that_is_withdrawn_for_one_channel_leaves_the_other() -> None:
    run = a_run(plan=a_plan(consent=ConsentRule(purpose="news")))
    run.person = PersonFacts(consents={FCM: False})
    assert run.look() == Send(MQTT, "device")


def test_zones_between_which_it_is_never_time_end_a_message_at_once() -> None:
    run = a_run(plan=a_plan(window=SendWindow(opens=9, closes=12)))
    run.person = PersonFacts(zone_candidates=("Europe/London", "Pacific/Auckland"))
    assert run.drive() == Done(MessageState.SUPPRESSED, "no_permitted_hour")
    assert run.now == START


def test_quiet_hours_hold_a_fallback_too_and_a_thousand_of_them_end_spread_over_a_minute() -> None:
    run = a_run(plan=a_plan(quiet_hours=QuietHours(begin=10, end=9), max_lateness_seconds=7 * 24 * 3600))
    assert run.look() == Send(FCM, "token")
    run.now = START + HOUR
    held = run.look()
    assert isinstance(held, Wait)
    assert held.until
    assert held.reason is HoldReason.QUIET_HOURS
    assert timedelta() <= held.until - (START + 24 * HOUR) < timedelta(minutes=1)
    run.drive()
    assert [channel for _, channel in run.sent_at] == [FCM, MQTT]


def test_the_higher_priority_is_sent_where_both_wait_for_the_same_moment() -> None:
    """Each looks at its own time, and the lower finds what the higher has sent."""
    caps = (Cap(count=1, days=7),)
    before = RecentSend(START - timedelta(days=2), 9)
    high, low = (a_run(plan=a_plan(caps=caps, priority=priority)) for priority in (7, 3))
    for run in (high, low):
        run.person = PersonFacts(recent_sends=(before,))
        step = run.look()
        assert isinstance(step, Wait)
        assert step.until
        run.now = step.until
    assert high.now < low.now
    assert isinstance(high.look(), Send)
    low.person = PersonFacts(recent_sends=(before, RecentSend(high.now, 7)))
    again = low.look()
    assert isinstance(again, Wait)
    assert again.until
    assert again.until >= high.now + timedelta(days=7)


def busy_for_long(run: VirtualRun) -> None:
    tried = AttemptFacts(1, FCM, "token", AttemptState.RELEASED, START, retry_at=START + timedelta(days=2))
    run.message = replace(run.message, attempts=(tried,))


def closed_window(run: VirtualRun) -> None:
    run.plan = run.plan.model_copy(update={"window": SendWindow(opens=18, closes=20)})


def night(run: VirtualRun) -> None:
    run.plan = run.plan.model_copy(update={"quiet_hours": QuietHours(begin=8, end=18)})


def capped(run: VirtualRun) -> None:
    run.plan = run.plan.model_copy(update={"caps": (Cap(count=1, days=7),)})
    run.person = PersonFacts(recent_sends=(RecentSend(START - HOUR, 5),))


def not_released(run: VirtualRun) -> None:
    run.run = RunFacts(RunState.RUNNING, START, released_up_to=0)


def paused(run: VirtualRun) -> None:
    run.pause()


@pytest.mark.parametrize(
    ("hinder", "reason"),
    [
        (closed_window, HoldReason.WINDOW),
        (night, HoldReason.QUIET_HOURS),
        (capped, HoldReason.CAP),
        (busy_for_long, HoldReason.HAND_OVER_LIMIT),
        (not_released, HoldReason.NOT_RELEASED),
        (paused, HoldReason.PAUSED),
    ],
)
def test_what_holds_a_message_until_it_is_no_longer_valid_is_the_reason_of_its_end(
    hinder: Callable[[VirtualRun], None], reason: HoldReason
) -> None:
    run = a_run(plan=a_plan(valid_for_seconds=3600))
    hinder(run)
    assert run.look() == Wait(START + HOUR, reason)
    run.now = START + HOUR
    assert run.look() == Done(MessageState.SUPPRESSED, reason)
    assert difference(run.message) is None
