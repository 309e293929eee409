"""Suppressions, consents, hours and caps of several campaigns, as the claim's own transaction finds them."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from db import locks
from db.decisions import decide
from db.engine import transaction
from db.tables import Consent, Deferral, Suppression
from domain.ladder import Done, Send, Wait
from domain.persons import ANY_CHANNEL, PERSON
from domain.plan import Plan
from domain.rules import ConsentRule
from domain.states import FailureKind, HoldReason, MessageState
from tests.db.scene import HASHER, Scene, a_plan, failed
from tests.fakes import a_person

TOKEN, KEY = "token:person-0000", "person-0000"
FOR_NEWS = ConsentRule(purpose="news", opt_in=True)


def suppress(
    session: Session, channel: str, address: str, reason: str = "unsubscribed", source: str = "person"
) -> None:
    row = {"channel": channel, "address_hash": HASHER(channel, address), "reason": reason, "source": source}
    session.execute(insert(Suppression), row)


def consent(session: Session, channel: str, *, granted: bool, purpose: str = "news") -> None:
    row = {"person_hash": HASHER(PERSON, KEY), "purpose": purpose, "channel": channel, "granted": granted}
    session.execute(insert(Consent), row | {"source": "import"})


def one(scene: Scene, plan: Plan | None = None) -> UUID:
    [message_id] = scene.ids(scene.opened(a_person(0), plan=plan))
    return message_id


def deferrals(scene: Scene, message_id: UUID) -> list[tuple[str, datetime | None]]:
    rows = sorted(scene.stored(Deferral, message_id=message_id), key=lambda row: row.id)
    return [(row.reason, row.until) for row in rows]


def test_who_is_suppressed_as_a_person_is_sent_nothing_in_any_campaign(scene: Scene) -> None:
    with transaction(scene.engine) as session:
        suppress(session, PERSON, KEY, "opted_out", "operator")
    for _ in range(2):
        message_id = one(scene)
        assert scene.decide(message_id).step == Done(MessageState.SUPPRESSED, "opted_out")
        row = scene.message(message_id)
        assert (row.state, row.state_reason) == ("suppressed", "opted_out")
        assert scene.proof(row.run_id).balanced


def test_a_suppressed_address_is_passed_over_and_named_when_it_was_the_last(scene: Scene) -> None:
    with transaction(scene.engine) as session:
        suppress(session, "fcm", TOKEN, "complaint")
    assert scene.decide(one(scene)).step == Send("mqtt", "device-0000")
    [message_id] = scene.ids(scene.opened(a_person(0, channels=("fcm",))))
    assert scene.decide(message_id).step == Done(MessageState.SUPPRESSED, "complaint")


def test_an_address_is_suppressed_on_its_own_channel_alone(scene: Scene) -> None:
    with transaction(scene.engine) as session:
        suppress(session, "sms", TOKEN)
        suppress(session, "mqtt", TOKEN)
        suppress(session, PERSON, "person-0001")
    assert scene.decide(one(scene)).step == Send("fcm", TOKEN)


def test_an_address_that_a_provider_called_dead_is_no_word_of_the_persons(scene: Scene) -> None:
    [first] = scene.ids(scene.opened(a_person(0, channels=("fcm",))))
    scene.send(first, outcome=failed(FailureKind.ADDRESS_REJECTED))
    [second] = scene.ids(scene.opened(a_person(0, channels=("fcm",))))
    assert scene.decide(second).step == Done(MessageState.SUPPRESSED, "no_address")


def test_a_suppression_that_comes_while_the_claim_waits_for_its_locks_holds(scene: Scene) -> None:
    """Lock, then look: what is committed before the look is seen by it, whenever the claim began."""
    message_id = one(scene)
    with transaction(scene.engine) as session:
        locks.hold_run(session, scene.message(message_id).run_id)
        with scene.meanwhile(lambda: scene.decide(message_id)) as decided:
            scene.until_somebody_waits()
            suppress(session, PERSON, KEY)
            session.commit()
    assert decided.result().step == Done(MessageState.SUPPRESSED, "unsubscribed")
    assert scene.attempts(message_id) == []


def test_a_suppression_between_the_decision_and_the_claim_holds(scene: Scene) -> None:
    message_id = one(scene)
    assert scene.decide(message_id, None).step == Send("fcm", TOKEN)
    with transaction(scene.engine) as session:
        suppress(session, PERSON, KEY)
    assert scene.decide(message_id, "fcm").step == Done(MessageState.SUPPRESSED, "unsubscribed")


def test_an_unsubscribe_in_a_run_under_way_stops_the_next_rung(scene: Scene) -> None:
    message_id = one(scene)
    attempt_id = scene.send(message_id)
    with transaction(scene.engine) as session:
        suppress(session, PERSON, KEY)
    step = scene.decide(message_id, None).step
    assert isinstance(step, Wait)
    assert step.reason is HoldReason.AWAITING
    scene.silence(message_id)
    assert scene.decide(message_id, "mqtt").step == Done(MessageState.EXPIRED)
    scene.acknowledge(attempt_id)
    row = scene.message(message_id)
    assert row.state == "delivered"
    assert scene.proof(row.run_id).balanced


def test_consent_is_asked_for_only_where_the_plan_has_a_purpose(scene: Scene) -> None:
    with transaction(scene.engine) as session:
        consent(session, ANY_CHANNEL, granted=False)
    assert isinstance(scene.decide(one(scene)).step, Send)
    no_to_all = scene.decide(one(scene, a_plan(consent=ConsentRule(purpose="news")))).step
    assert no_to_all == Done(MessageState.SUPPRESSED, "no_consent")
    assert isinstance(scene.decide(one(scene, a_plan(consent=ConsentRule(purpose="care")))).step, Send)


def test_a_yes_is_of_one_purpose_and_a_channels_own_word_beats_that_of_all(scene: Scene) -> None:
    with transaction(scene.engine) as session:
        consent(session, ANY_CHANNEL, granted=True)
        consent(session, "fcm", granted=False)
    assert scene.decide(one(scene, a_plan(consent=FOR_NEWS))).step == Send("mqtt", "device-0000")
    elsewhere = a_plan(consent=ConsentRule(purpose="care", opt_in=True))
    assert scene.decide(one(scene, elsewhere)).step == Done(MessageState.SUPPRESSED, "no_consent")


def test_nobodys_device_has_said_yes_to_nothing(scene: Scene) -> None:
    with transaction(scene.engine) as session:
        consent(session, ANY_CHANNEL, granted=True)
    message_id = one(scene, a_plan(consent=FOR_NEWS))
    scene.set_message(message_id, person_key=None)
    assert scene.decide(message_id).step == Done(MessageState.SUPPRESSED, "no_consent")


@pytest.mark.parametrize(("ours", "deferred"), [(4, True), (5, True), (6, False)])
def test_a_cap_counts_runs_of_the_same_or_a_higher_priority(scene: Scene, ours: int, *, deferred: bool) -> None:
    caps = [{"count": 1, "days": 7}]
    scene.send(one(scene, a_plan(caps=caps, priority=5)))
    step = scene.decide(one(scene, a_plan(caps=caps, priority=ours))).step
    assert isinstance(step, Wait if deferred else Send)


def test_a_run_whose_plan_was_frozen_before_there_were_priorities_has_the_usual_one(scene: Scene) -> None:
    caps = [{"count": 1, "days": 7}]
    first = one(scene, a_plan(caps=caps))
    scene.send(first)
    with transaction(scene.engine) as session:
        old = text("update drumbeat.runs set plan = plan - 'priority' where id = :id")
        session.execute(old, {"id": scene.message(first).run_id})
    assert isinstance(scene.decide(one(scene, a_plan(caps=caps, priority=5))).step, Wait)
    assert isinstance(scene.decide(one(scene, a_plan(caps=caps, priority=6))).step, Send)


def test_a_bypass_sends_over_the_cap_and_counts_for_it(scene: Scene) -> None:
    caps = [{"count": 1, "days": 7}]
    scene.send(one(scene, a_plan(caps=caps)))
    scene.send(one(scene, a_plan(caps=caps, bypass_frequency_caps=True)))
    assert scene.stored(Deferral) == []
    assert isinstance(scene.decide(one(scene, a_plan(caps=[{"count": 2, "days": 7}]))).step, Wait)


def quiet_now(scene: Scene) -> Plan:
    """Quiet hours by the wall clock of UTC that began an hour ago and have two to go."""
    with transaction(scene.engine) as session:
        hour = session.execute(text("select extract(hour from clock_timestamp() at time zone 'UTC')")).scalar_one()
    return a_plan(quiet_hours={"begin": (int(hour) - 1) % 24, "end": (int(hour) + 2) % 24})


def test_a_deferral_is_kept_once_however_often_it_is_looked_at(scene: Scene) -> None:
    message_id = one(scene, quiet_now(scene))
    until = {scene.decide(message_id).step for _ in range(3)}
    [step] = until
    assert isinstance(step, Wait)
    assert deferrals(scene, message_id) == [("quiet_hours", step.until)]
    assert scene.message(message_id).hold_reason == "quiet_hours"


def test_candidates_of_the_zone_travel_from_the_source_to_the_decision(scene: Scene) -> None:
    plan = quiet_now(scene)
    known = replace(a_person(0), zone_candidates=("Etc/GMT+12", "Etc/GMT-12", "UTC"))
    [message_id] = scene.ids(scene.opened(known, plan=plan))
    assert scene.message(message_id).zone_candidates == ["Etc/GMT+12", "Etc/GMT-12", "UTC"]
    step = scene.decide(message_id).step
    assert isinstance(step, Wait)
    assert step.reason is HoldReason.QUIET_HOURS


def test_each_answer_of_a_busy_provider_is_a_deferral_and_a_pause_is_none(scene: Scene) -> None:
    message_id = one(scene, a_plan("fcm"))
    for _ in range(2):
        scene.send(message_id, outcome=failed(FailureKind.BUSY, retry_after=60))
        scene.rewind(message_id, timedelta(minutes=5))
    assert [reason for reason, _ in deferrals(scene, message_id)] == ["provider_busy"] * 2
    scene.set(scene.message(message_id).run_id, state="paused")
    assert scene.decide(message_id).step == Wait(None, HoldReason.PAUSED)
    assert len(deferrals(scene, message_id)) == 2


def test_a_channel_that_stays_unready_is_one_deferral(scene: Scene) -> None:
    message_id = one(scene)
    for _ in range(3):
        with transaction(scene.engine) as session:
            decide(session, message_id, HASHER, send_on="fcm", not_ready_for=timedelta(seconds=15))
    assert [reason for reason, _ in deferrals(scene, message_id)] == ["provider_busy"]


def test_an_ordinary_send_keeps_no_deferral(scene: Scene) -> None:
    message_id = one(scene)
    scene.send(message_id)
    scene.decide(message_id)
    assert deferrals(scene, message_id) == []
