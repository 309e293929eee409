"""One person over all campaigns, from the rows as runs have written them."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event, insert

from db import control
from db.consents import ConsentNoted, Word, consents_of, note_consent
from db.engine import transaction
from db.people import PersonStory, story_of
from db.suppressions import suppress
from db.tables import AuditEntry, Consent, Deferral, Message, Run
from domain.addresses import BadAddressError
from domain.consents import BadConsentError
from domain.ladder import Done, Send
from domain.message import Recipient
from domain.persons import PERSON
from domain.rules import ConsentRule
from domain.states import MessageState
from tests.db.scene import HASHER, Scene, a_plan

BEA = Recipient("bea", person_key="person-1", addresses={"fcm": ("a-long-push-token-1a2b",)}, acknowledges=True)
ADA = Recipient("ada", person_key="person-2", addresses={"fcm": ("token-2",)})


def story(scene: Scene, person: str = "person-1", **more: object) -> PersonStory:
    with transaction(scene.engine) as session:
        return story_of(session, HASHER, person, **more)  # type: ignore[arg-type]


def sentences(scene: Scene, person: str = "person-1", **more: object) -> list[str]:
    return [line.sentence for line in story(scene, person, **more).story]


def say(scene: Scene, purpose: str = "offers", *, granted: bool, channel: str = "*") -> ConsentNoted:
    with transaction(scene.engine) as session:
        return note_consent(session, HASHER, "person-1", Word(purpose, granted, channel), actor="cli:ada")


def test_all_that_was_decided_is_told_in_order(scene: Scene) -> None:
    run_id = scene.snapshot(BEA, slot="monday")
    scene.open_batch(run_id, 1)
    [message_id] = scene.ids(run_id)
    with transaction(scene.engine) as session:
        until = datetime(2026, 11, 22, 8, tzinfo=UTC)
        row = {"message_id": message_id, "at": datetime.now(UTC), "reason": "window", "until": until}
        session.execute(insert(Deferral).values(row))
    control.pause(scene.engine, run_id, "cli:ada")
    control.resume(scene.engine, run_id, "cli:ada")
    attempt_id = scene.send(message_id)
    scene.acknowledge(attempt_id)
    control.pause(scene.engine, run_id, "cli:ida")
    with transaction(scene.engine) as session:
        suppress(session, HASHER, PERSON, "person-1", actor="cli:ada", reason="opted_out")

    told = story(scene)

    said = [line.sentence for line in told.story]
    assert said[0] == "Targeted by probe as bea, run probe-monday."
    assert said[1] == "Put off until 2026-11-22 08:00 UTC: outside the campaign's hours."
    assert said[2] == "ada on the command line paused the run."
    assert said[3].startswith("ada on the command line resumed the run")
    assert said[4] == "Handed over by fcm to …1a2b."
    assert said[5].startswith("Acknowledged by the device")
    assert said[6:] == [
        "Ended as delivered.",
        "On the suppression list: the whole person, opted out (an operator's word).",
    ], "what happened to the run afterwards is not theirs"
    assert told.known
    [message] = told.messages
    assert (message.run, message.message.state, [each.id for each in message.attempts]) == (
        "probe-monday",
        "delivered",
        [attempt_id],
    )
    assert "a-long-push-token" not in told.model_dump_json()


def test_a_run_that_was_cancelled_names_who_did_it(scene: Scene) -> None:
    run_id = scene.opened(BEA)
    control.cancel(scene.engine, run_id, "cli:ada")
    assert sentences(scene)[1:] == [
        "ada on the command line cancelled the run: 1 message withdrawn.",
        "Withdrawn: the run was cancelled by ada on the command line.",
    ]


def test_somebody_of_whom_nothing_is_known_is_told_where_they_were_not(scene: Scene) -> None:
    scene.snapshot(ADA, slot="older")
    scene.snapshot(ADA, slot="newest")

    told = story(scene)

    assert not told.known
    assert [line.sentence for line in told.story] == [
        "Not in the audience of probe-newest, the newest run of probe: not named by its source, or left out."
    ]


def test_an_audience_that_is_not_taken_yet_says_nothing_of_anybody(scene: Scene) -> None:
    scene.queued()
    assert sentences(scene) == []


def test_whoever_is_in_the_newest_audience_is_not_told_of_older_ones(scene: Scene) -> None:
    scene.snapshot(ADA)
    scene.snapshot(BEA)
    assert not any("Not in the audience" in sentence for sentence in sentences(scene))


def test_one_campaign_alone_and_the_newest_messages_alone(scene: Scene) -> None:
    for slot in ("one", "two", "three"):
        scene.snapshot(BEA, slot=slot)
    other = scene.snapshot(BEA, slot="spring")
    scene.set(other, campaign="offers")

    assert [each.run for each in story(scene, limit=2).messages] == ["offers-spring", "probe-three"]
    assert {each.campaign for each in story(scene, campaign="probe").messages} == {"probe"}
    assert [each.run for each in story(scene, campaign="offers").messages] == ["offers-spring"]


def test_somebody_without_a_key_is_found_by_the_recipients_id(scene: Scene) -> None:
    scene.snapshot(Recipient("lock-9", addresses={"fcm": ("token-9",)}))
    assert len(story(scene, "lock-9").messages) == 1
    assert story(scene, "bea").messages == []


def test_a_dead_address_of_theirs_is_told_as_well(scene: Scene) -> None:
    scene.snapshot(BEA)
    with transaction(scene.engine) as session:
        suppress(session, HASHER, "fcm", "a-long-push-token-1a2b", actor="cli:ada", reason="complaint")
        suppress(session, HASHER, "fcm", "token-2", actor="cli:ada")
    listed = [sentence for sentence in sentences(scene) if "suppression list" in sentence]
    assert listed == ["On the suppression list: fcm …1a2b, complaint (an operator's word)."]


@pytest.mark.parametrize("person", ["", "x" * 256, "a\0b"])
def test_what_can_be_nobodys_id_is_refused(scene: Scene, person: str) -> None:
    with pytest.raises(BadAddressError, match="person: "):
        story(scene, person)


def test_a_consent_is_kept_by_the_persons_hash_and_written_into_the_audit_log(scene: Scene) -> None:
    first, again = say(scene, granted=True), say(scene, granted=True)
    changed = say(scene, granted=False)

    assert (first.already, again.already, changed.already) == (False, True, False)
    assert again.consent.since == first.consent.since
    assert changed.consent.since > first.consent.since
    [row] = scene.stored(Consent)
    assert (row.person_hash, row.purpose, row.channel, row.granted) == (
        HASHER(PERSON, "person-1"),
        "offers",
        "*",
        False,
    )
    entries = scene.stored(AuditEntry)
    assert [entry.details["granted"] for entry in entries] == [True, False]
    assert "person-1" not in str([entry.details for entry in entries])


def test_each_channel_has_a_word_of_its_own(scene: Scene) -> None:
    say(scene, granted=True)
    say(scene, granted=False, channel="sms")
    with transaction(scene.engine) as session:
        found = consents_of(session, HASHER(PERSON, "person-1"))
    assert [(each.channel, each.granted) for each in found] == [("*", True), ("sms", False)]
    assert sentences(scene)[:2] == ["Consent to offers given on all channels.", "Consent to offers withdrawn on sms."]


def test_a_withdrawal_on_all_channels_takes_back_what_was_given_on_one_before(scene: Scene) -> None:
    say(scene, granted=True, channel="fcm")
    say(scene, "care", granted=True, channel="fcm")
    assert not say(scene, granted=False).already
    [message_id] = scene.ids(scene.opened(BEA, plan=a_plan(consent=ConsentRule(purpose="offers"))))
    assert scene.decide(message_id).step == Done(MessageState.SUPPRESSED, "no_consent")
    [care] = scene.ids(scene.opened(BEA, plan=a_plan(consent=ConsentRule(purpose="care", opt_in=True))))
    assert isinstance(scene.decide(care).step, Send)


def test_a_second_withdrawal_takes_back_what_was_given_on_one_channel_since(scene: Scene) -> None:
    say(scene, granted=False)
    say(scene, granted=True, channel="fcm")
    again = say(scene, granted=False)
    assert (again.already, again.consent.channel) == (False, "*")
    assert [(row.channel, row.granted) for row in scene.stored(Consent)] == [("*", False)]
    assert say(scene, granted=False).already


def test_a_yes_on_all_channels_leaves_a_no_on_one(scene: Scene) -> None:
    say(scene, granted=False, channel="sms")
    say(scene, granted=True)
    assert {(row.channel, row.granted) for row in scene.stored(Consent)} == {("sms", False), ("*", True)}


def test_a_consent_that_changes_has_what_waits_looked_at_anew(scene: Scene) -> None:
    [message_id] = scene.ids(scene.opened(BEA))
    assert say(scene, granted=False).waiting == [message_id]
    assert say(scene, granted=False).waiting == []


@pytest.mark.parametrize(("purpose", "channel"), [("Offers!", "*"), ("", "*"), ("offers", "emial"), ("offers", PERSON)])
def test_a_wrong_word_of_a_consent_changes_nothing(scene: Scene, purpose: str, channel: str) -> None:
    with pytest.raises((BadConsentError, BadAddressError)):
        say(scene, purpose, granted=True, channel=channel)
    assert scene.stored(Consent) == []


def test_a_person_with_many_messages_is_told_with_few_statements(scene: Scene) -> None:
    """The rows of all messages are gathered at once, however many there are."""
    run_id = scene.snapshot(BEA)
    with transaction(scene.engine) as session:
        for number in range(50):
            other = uuid4()
            row = session.get_one(Run, run_id)
            values = {"id": other, "campaign": "probe", "slot": f"s{number}", "workflow_id": f"run:probe-s{number}"}
            session.execute(insert(Run).values(**values, state="closed", parameters={}, plan=row.plan, targeted=1))
            message = {"id": uuid4(), "run_id": other, "position": 1, "recipient_id": "bea", "person_key": "person-1"}
            created = datetime.now(UTC) - timedelta(days=number)
            session.execute(insert(Message).values(**message, facts={}, addresses={}, created_at=created))
    statements: list[str] = []

    def count(*given: object) -> None:
        statements.append(str(given[2]))

    event.listen(scene.engine, "before_cursor_execute", count)
    assert len(story(scene, limit=500).messages) == 51
    assert len(statements) < 15
