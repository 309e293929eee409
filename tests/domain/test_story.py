"""A person's story: everything that was decided, in order, in plain sentences."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.story import (
    Absent,
    Answer,
    Consented,
    Deferral,
    Intervention,
    Listed,
    MessageLife,
    PersonLife,
    TryLife,
    tell,
)

NINE = datetime(2026, 11, 21, 9, tzinfo=UTC)
A_DAY = 24 * 3600
TOKEN = "a-long-push-token-1a2b"


def after(**passed: float) -> datetime:
    return NINE + timedelta(**passed)


def a_message(**more: object) -> MessageLife:
    usual = {
        "id": UUID(int=1),
        "campaign": "lock_battery",
        "run": "lock_battery-monday",
        "recipient_id": "person-1",
        "targeted_at": NINE,
        "state": "planned",
        "zones": ("Asia/Dhaka",),
    }
    return MessageLife(**{**usual, **more})  # type: ignore[arg-type]


def a_try(channel: str = "fcm", state: str = "sent", **more: object) -> TryLife:
    usual = {"claimed_at": after(minutes=1), "settled_at": after(minutes=1), "ttl_seconds": A_DAY, "address": TOKEN}
    return TryLife(**{"channel": channel, "state": state, **usual, **more})  # type: ignore[arg-type]


def said(*messages: MessageLife, now: datetime | None = None, **more: object) -> list[str]:
    life = PersonLife("person-1", messages=messages, **more)  # type: ignore[arg-type]
    return [line.sentence for line in tell(life, now or after(days=9))]


def test_a_message_that_fell_back_and_expired_is_told_from_its_beginning_to_its_end() -> None:
    message = a_message(
        state="expired",
        ended_at=after(days=2, minutes=2),
        deferrals=(Deferral(after(seconds=1), "quiet_hours", after(hours=17)),),
        tries=(
            a_try(state="expired"),
            a_try("mqtt", "expired", claimed_at=after(days=1, minutes=1), address="phone-of-them"),
        ),
    )

    assert said(message) == [
        "Targeted by lock_battery, run lock_battery-monday.",
        "Put off until 2026-11-22 08:00 in Asia/Dhaka: quiet hours.",
        "Handed over by fcm to …1a2b.",
        "No answer within 24 h.",
        "Went on to mqtt: handed over by mqtt to …them.",
        "No answer within 24 h.",
        "Ended as expired: nobody answered in time.",
    ]


def test_no_address_is_ever_shown_in_full() -> None:
    for state in ("sending", "sent", "unknown", "released", "failed", "delivered", "expired"):
        assert not any(TOKEN in sentence for sentence in said(a_message(tries=(a_try(state=state),))))


@pytest.mark.parametrize(
    ("attempt", "sentence"),
    [
        ({"state": "sending"}, "Being handed over by fcm to …1a2b."),
        (
            {"state": "unknown", "error_code": "timeout"},
            "Given to fcm for …1a2b; whether it was taken is not known (timeout).",
        ),
        (
            {"state": "unknown", "verdict": "retry"},
            "Given to fcm for …1a2b; whether it was taken is not known. An operator had it tried again.",
        ),
        ({"state": "sent", "verdict": "was_sent"}, "Handed over by fcm to …1a2b (as an operator judged)."),
        (
            {"state": "failed", "failure": "address_rejected", "error_code": "UNREGISTERED"},
            "Not taken: fcm says that the address …1a2b is dead (UNREGISTERED).",
        ),
        (
            {"state": "failed", "failure": "busy", "retry_at": after(minutes=3)},
            "Not taken: fcm was busy; not again before 2026-11-21 09:03 UTC.",
        ),
        ({"state": "failed", "failure": "a_new_one"}, "Not taken: fcm did not take it."),
        ({"state": "sent", "address": ""}, "Handed over by fcm to an address that is erased."),
    ],
)
def test_each_end_of_a_try_has_its_sentence(attempt: dict[str, object], sentence: str) -> None:
    assert said(a_message(tries=(a_try(**attempt),)))[1] == sentence  # type: ignore[arg-type]


def test_what_stopped_a_message_says_who_did_it() -> None:
    by_ada = Intervention(
        after(minutes=5), "key ab12 (night shift)", "cancel", "cancelled the run: 7 messages withdrawn"
    )
    message = a_message(
        state="withdrawn", state_reason="run_cancelled", ended_at=after(minutes=5), interventions=(by_ada,)
    )
    assert said(message)[1:] == [
        "key ab12 (night shift) cancelled the run: 7 messages withdrawn.",
        "Withdrawn: the run was cancelled by key ab12 (night shift).",
    ]


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("unsubscribed", "Suppressed: they have unsubscribed (on the list since 2026-11-21)."),
        ("opted_out", "Suppressed: they have opted out."),
        ("no_address", "Suppressed: there is no address at which they can be reached."),
        ("no_consent", "Suppressed: they have not agreed to it."),
        ("valid_until", "Suppressed: its time was over."),
        ("quiet_hours", "Suppressed: its time was over; until then it was put off: quiet hours."),
        ("UNREGISTERED", "Suppressed: UNREGISTERED."),
        (None, "Suppressed: no reason was noted."),
    ],
)
def test_a_suppression_says_why(reason: str | None, sentence: str) -> None:
    message = a_message(state="suppressed", state_reason=reason, ended_at=after(hours=1))
    listed = Listed(after(minutes=30), "person", "", "unsubscribed", "person")
    assert said(message, listed=[listed])[-1] == sentence


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"hold_reason": "paused"}, "It waits now: the run is paused."),
        (
            {"hold_reason": "window", "due_at": after(days=10)},
            "It waits now until 2026-12-01 15:00 in Asia/Dhaka: outside the campaign's hours.",
        ),
        (
            {"hold_reason": "quiet_hours", "due_at": after(days=10), "zones": ("Asia/Dhaka", "Europe/Berlin")},
            "It waits now until 2026-12-01 09:00 UTC (they may be in Asia/Dhaka, Europe/Berlin): quiet hours.",
        ),
        (
            {"hold_reason": "a_new_one", "due_at": after(days=10), "zones": ("Nowhere/City",)},
            "It waits now until 2026-12-01 09:00 UTC: a new one.",
        ),
        ({"state": "sent"}, "It was sent, and an answer is awaited."),
        ({}, "It is planned; what holds for them is looked at when its turn comes."),
        ({"state": "held_out", "ended_at": NINE}, "Held out by lot: left unsent, so that the others can be compared."),
        ({"state": "withdrawn", "state_reason": "erased", "ended_at": NINE}, "Withdrawn: they were erased."),
    ],
)
def test_how_it_stands_now_is_the_last_sentence(more: dict[str, object], sentence: str) -> None:
    assert said(a_message(**more))[-1] == sentence


def test_answers_are_told_with_what_they_are_worth() -> None:
    answers = (
        Answer(after(minutes=2), latency_ms=3200),
        Answer(after(minutes=3), click_class="scanner"),
        Answer(after(minutes=4), click_class="person"),
        Answer(after(days=3), late=True),
    )
    assert said(a_message(state="delivered", answers=answers, ended_at=after(minutes=2)))[1:] == [
        "Acknowledged by the device, 3.2 s after the hand-over.",
        "Ended as delivered.",
        "The link was opened, but not by a person (scanner).",
        "They opened the link.",
        "Acknowledged by the device; late, it had ended before.",
    ]


def test_several_campaigns_the_list_and_what_they_said_stand_in_one_order() -> None:
    first, second = (
        a_message(),
        a_message(id=UUID(int=2), run="offers-may", campaign="offers", targeted_at=after(hours=1)),
    )
    told = tell(
        PersonLife(
            "person-1",
            messages=(second, first),
            listed=[Listed(after(hours=2), "fcm", TOKEN, "UNREGISTERED", "provider")],
            consents=[Consented(after(minutes=30), "offers", "*", granted=False)],
            absent=[Absent(after(hours=3), "signals", "signals-today")],
            erased_at=[after(hours=4)],
        ),
        after(days=1),
    )
    assert [line.at for line in told] == sorted(line.at for line in told)
    assert [line.sentence for line in told] == [
        "Targeted by lock_battery, run lock_battery-monday.",
        "Consent to offers withdrawn on all channels.",
        "Targeted by offers, run offers-may.",
        "On the suppression list: fcm …1a2b, UNREGISTERED (the provider's word).",
        "Not in the audience of signals-today, the newest run of signals: not named by its source, or left out.",
        "They were erased: what was decided for them before is not known any more.",
        "It is planned; what holds for them is looked at when its turn comes.",
        "It is planned; what holds for them is looked at when its turn comes.",
    ]
    assert [line.run for line in told if line.run] == [
        "lock_battery-monday",
        "offers-may",
        "signals-today",
        "offers-may",
        "lock_battery-monday",
    ]


def test_a_recipient_whose_id_is_not_the_persons_is_named() -> None:
    message = a_message(recipient_id="seat-7", held_out=True)
    assert said(message)[0] == (
        "Targeted by lock_battery as seat-7, run lock_battery-monday; drawn by lot to be held out."
    )
