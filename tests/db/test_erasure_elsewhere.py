"""What erasure does beside the messages themselves: lists, measuring, clicks, devices, reports, the audit log."""

import pytest
from sqlalchemy import insert, text

from db import control
from db.audience import store_rows
from db.engine import transaction
from db.people import PersonStory, story_of
from db.runs import fail_run
from db.suppressions import suppress
from db.tables import (
    Attempt,
    AudienceRow,
    AuditEntry,
    Click,
    Consent,
    Deferral,
    Device,
    Message,
    Outcome,
    ReportedAttempt,
    Suppression,
)
from db.unsubscribing import unsubscribe
from domain.addresses import BadAddressError
from domain.message import Recipient
from domain.persons import PERSON
from tests.db.erased import LOCK, NAME, OTHER, THEM, erase_them, everything_stored, their_message
from tests.db.scene import HASHER, Scene, a_plan


def test_suppressions_and_consents_stay_and_hold_when_the_same_person_comes_back(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(THEM))
    with transaction(scene.engine) as session:
        unsubscribe(session, message_id, HASHER)
        session.execute(
            insert(Consent).values(
                person_hash=HASHER(PERSON, NAME), purpose="offers", channel="*", granted=False, source="operator"
            )
        )
    kept = {(row.channel, row.address_hash) for row in scene.stored(Suppression)}

    erase_them(scene)

    assert {(row.channel, row.address_hash) for row in scene.stored(Suppression)} == kept
    assert len(scene.stored(Consent)) == 1
    [back] = scene.ids(scene.opened(THEM))
    scene.decide(back)
    assert scene.message(back).state == "suppressed"
    assert scene.attempts(back) == []


def test_measuring_goes_on_in_the_arm_that_was_drawn(scene: Scene) -> None:
    shared = Recipient("a-neighbour", subject=LOCK, person_key="a-neighbour", addresses={"fcm": ("token-3",)})
    run_id = scene.snapshot(THEM, shared, plan=a_plan(holdout_percent=50, measured_for_seconds=60))
    with transaction(scene.engine) as session:
        session.execute(
            insert(Outcome).values(
                run_id=run_id, subject=LOCK, before_readable=True, group_key="a-neighbour", arm="treated"
            )
        )
    arms = {each.position: each.held_out for each in scene.stored(Message, run_id=run_id)}

    erase_them(scene, "a-neighbour")

    rows = scene.stored(AudienceRow, run_id=run_id)
    assert {row.subject for row in rows} == {LOCK}
    tombstone = their_message(scene, run_id).recipient_id
    assert {row.recipient_id for row in rows} == {NAME, tombstone}
    [outcome] = scene.stored(Outcome, run_id=run_id)
    assert (outcome.group_key, outcome.subject, outcome.arm) == (tombstone, LOCK, "treated")
    assert {each.position: each.held_out for each in scene.stored(Message, run_id=run_id)} == arms


def test_clicks_devices_and_reports_name_them_no_more(scene: Scene) -> None:
    run_id = scene.opened(THEM)
    [message_id] = scene.ids(run_id)
    attempt_id = scene.send(message_id)
    with transaction(scene.engine) as session:
        named = {"campaign_id": "x", "lock_id": LOCK, "user_id": NAME}
        row = {"click_class": "person", "signed": False, "named": named, "user_agent": "Phone of person-1"}
        session.execute(insert(Click).values(message_id=message_id, run_id=run_id, **row))
        session.execute(insert(Click).values(**row))
        session.execute(insert(Device).values(id="device-1", owner_id=NAME, platform="android"))
        session.execute(
            insert(ReportedAttempt).values(run_id=run_id, channel="fcm", reported_id="accepted", ours=False)
        )

    erased = erase_them(scene)

    assert erased.devices == 1
    assert [(click.named, click.user_agent) for click in scene.stored(Click)] == [({}, None)] * 2
    assert [device.owner_id for device in scene.stored(Device)] == [None]
    [reported] = scene.stored(ReportedAttempt)
    assert reported.reported_id == str(attempt_id), "the report still names the attempt that the ledger has"
    [attempt] = scene.stored(Attempt)
    assert (attempt.address, attempt.person_key, attempt.provider_id) == ("", None, None)


def test_the_audit_log_has_the_hash_and_the_counts_and_no_name(scene: Scene) -> None:
    scene.opened(THEM)
    erase_them(scene)

    entry = max(scene.stored(AuditEntry), key=lambda each: each.id)
    assert (entry.actor, entry.action) == ("cli:ada", "erase")
    assert entry.details == {"person": HASHER(PERSON, NAME), "messages": 1, "ended": 1, "devices": 0}


@pytest.mark.parametrize("cancelled", [False, True])
def test_rows_of_an_audience_that_never_became_messages_are_forgotten(scene: Scene, cancelled: bool) -> None:
    run_id = scene.queued()
    with transaction(scene.engine) as session:
        store_rows(session, run_id, [THEM, OTHER])
    if cancelled:
        control.cancel(scene.engine, run_id, "test")
    with transaction(scene.engine) as session:
        fail_run(session, run_id, "the source is gone")

    erase_them(scene)

    assert [row.recipient_id for row in scene.stored(AudienceRow)] == [OTHER.id]


def test_somebody_without_a_key_is_erased_by_the_recipients_id(scene: Scene) -> None:
    run_id = scene.opened(Recipient("lock-9", addresses={"fcm": ("token-9",)}))
    assert erase_them(scene, "lock-9").messages == 1
    assert "token-9" not in everything_stored(scene)
    assert scene.proof(run_id).balanced


def test_it_may_be_repeated(scene: Scene) -> None:
    scene.opened(THEM)
    assert [erase_them(scene).messages for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("person", ["", " ", "x" * 256, "a\0b"])
def test_what_can_be_nobodys_id_is_refused(scene: Scene, person: str) -> None:
    with pytest.raises(BadAddressError, match="person: "):
        erase_them(scene, person)


def test_what_is_told_of_them_afterwards_is_that_they_were_erased(scene: Scene) -> None:
    run_id = scene.opened(THEM)
    with transaction(scene.engine) as session:
        suppress(session, HASHER, PERSON, NAME, actor="cli:ada")
    erase_them(scene)

    with transaction(scene.engine) as session:
        story: PersonStory = story_of(session, HASHER, NAME)

    said = [line.sentence for line in story.story]
    assert story.messages == []
    assert "They were erased: what was decided for them before is not known any more." in said
    assert any("On the suppression list: the whole person" in sentence for sentence in said)
    assert not any("Not in the audience" in sentence for sentence in said), run_id


def test_putting_off_is_kept_for_the_figures_and_names_nobody(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(THEM))
    with transaction(scene.engine) as session:
        session.execute(insert(Deferral).values(message_id=message_id, at=text("now()"), reason="window"))
    erase_them(scene)
    assert len(scene.stored(Deferral)) == 1
