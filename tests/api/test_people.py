"""`/api/v1/people/{id}` and `/api/v1/audit`."""

from dataclasses import replace
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from api.parts import Parts
from db.api_keys import Scope
from db.audience import store_rows
from db.engine import transaction
from db.tables import AuditEntry, Consent, Message
from domain.message import Recipient
from domain.persons import PERSON
from domain.tombstones import hash_in
from tests.api.conftest import OpenApp
from tests.api.rows import add_run, add_sent_message, stored
from tests.api.temporal_double import TemporalDouble
from tests.api.test_any_input import MANY
from tests.api.test_keys import bearing, make_key
from tests.db.scene import HASHER

PEOPLE = "/api/v1/people"
AUDIT = "/api/v1/audit"


def of(person: str, rest: str = "") -> str:
    return f"{PEOPLE}/{quote(person, safe='')}{rest}"


def test_the_story_of_a_person_is_told_with_its_rows(api: TestClient, engine: Engine) -> None:
    sent = add_sent_message(engine, recipient="ada")

    answer = api.get(of("ada"))

    told = answer.json()
    assert answer.status_code == 200
    assert told["known"] is True
    assert told["story"][0]["message_id"] == str(sent.message_id)
    assert any(line["sentence"].startswith("Targeted by lock_battery") for line in told["story"])
    assert [each["message"]["state"] for each in told["messages"]] == ["sent"]


def test_somebody_of_whom_nothing_is_known_is_no_error(api: TestClient, engine: Engine) -> None:
    add_run(engine)
    answer = api.get(of("nobody"))
    assert (answer.status_code, answer.json()["known"]) == (200, False)
    assert "Not in the audience of lock_battery-spring" in answer.json()["story"][0]["sentence"]


def test_an_unknown_campaign_is_refused(api: TestClient) -> None:
    assert api.get(of("ada", "?campaign=birthday")).status_code == 404
    assert api.get(of("ada", "?campaign=lock_battery")).status_code == 200


@pytest.mark.parametrize("person", ["a/b", "a b", "ä€𝄞", "100%", "?#&=", "consents", "x/consents", "x" * 255, "a+b"])
def test_any_text_is_an_id(api: TestClient, engine: Engine, person: str) -> None:
    add_sent_message(engine, recipient=person)

    assert (api.get(of(person)).json()["person"], api.get(of(person)).json()["known"]) == (person, True)
    noted = api.put(of(person, "/consents"), json={"purpose": "offers", "granted": True})
    assert noted.status_code == 200
    assert stored(engine, Consent)[0].person_hash == HASHER(PERSON, person)
    assert api.delete(of(person)).json()["messages"] == 1


@pytest.mark.parametrize("person", ["x" * 256, "\0", " "])
def test_what_can_be_nobodys_id_is_refused(api: TestClient, person: str) -> None:
    for answer in (api.get(of(person)), api.delete(of(person))):
        assert (answer.status_code, answer.json()["type"]) == (422, "/docs#bad-address")


def test_any_id_is_answered(api: TestClient) -> None:
    @MANY
    @given(person=st.text(min_size=1, max_size=60).filter(lambda text: "\n" not in text and text not in {".", ".."}))
    def answered(person: str) -> None:
        assert api.get(of(person)).status_code in {200, 422}

    answered()


def test_a_consent_is_noted_and_told(api: TestClient) -> None:
    word = {"purpose": "offers", "granted": False, "channel": "sms"}
    first, second = api.put(of("ada", "/consents"), json=word), api.put(of("ada", "/consents"), json=word)

    assert first.json()["consent"]["channel"] == "sms"
    assert (first.json()["already"], second.json()["already"]) == (False, True)
    told = api.get(of("ada")).json()
    assert [each["granted"] for each in told["consents"]] == [False]
    assert told["story"][0]["sentence"] == "Consent to offers withdrawn on sms."


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ({"purpose": "Offers!", "granted": True}, "bad-consent"),
        ({"purpose": "offers", "granted": True, "channel": "person"}, "bad-consent"),
        ({"purpose": "offers", "granted": True, "channel": "emial"}, "bad-consent"),
        ({"purpose": "offers"}, "malformed"),
        ({"purpose": "offers", "granted": "perhaps"}, "malformed"),
    ],
)
def test_a_wrong_word_is_refused(api: TestClient, engine: Engine, word: dict[str, object], kind: str) -> None:
    answer = api.put(of("ada", "/consents"), json=word)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/docs#{kind}")
    assert stored(engine, Consent) == []


def test_an_erasure_is_counted_and_tells_the_workflows(
    api: TestClient, engine: Engine, temporal: TemporalDouble
) -> None:
    sent = add_sent_message(engine, recipient="ada")

    answer = api.delete(of("ada"))

    assert answer.json() == {"person_hash": HASHER(PERSON, "ada"), "messages": 1, "ended": 1, "devices": 0}
    assert temporal.next_signal() == (f"message:{sent.message_id}", "look_again")
    assert hash_in(stored(engine, Message)[0].recipient_id)
    assert api.get(f"/api/v1/runs/{sent.run_id}/proof").json()["balanced"] is True


def test_a_person_in_an_audience_that_is_being_taken_is_refused_for_now(api: TestClient, engine: Engine) -> None:
    run_id, _ = add_run(engine, targeted=None)
    with transaction(engine) as session:
        store_rows(session, run_id, [Recipient("ada")])

    answer = api.delete(of("ada"))

    assert (answer.status_code, answer.json()["type"]) == (409, "/docs#audience-being-taken")
    assert stored(engine, AuditEntry) == []


def test_people_are_for_keys_with_that_scope_alone(open_app: OpenApp, parts: Parts, engine: Engine) -> None:
    api = open_app(replace(parts, api_keys_required=True))
    others = bearing(make_key(engine, Scope.VIEW, Scope.OPERATE))
    word = {"purpose": "offers", "granted": True}

    for method, url, body in (
        ("GET", of("ada"), None),
        ("DELETE", of("ada"), None),
        ("PUT", of("ada", "/consents"), word),
    ):
        assert api.request(method, url, json=body).status_code == 401
        assert api.request(method, url, json=body, headers=others).status_code == 403
    key = make_key(engine, Scope.PEOPLE)
    assert api.put(of("ada", "/consents"), json=word, headers=bearing(key)).status_code == 200
    assert stored(engine, AuditEntry)[-1].actor == key.split("_")[1]


def test_the_audit_log_is_read_in_pages_and_by_run(api: TestClient, engine: Engine) -> None:
    run_id, _ = add_run(engine)
    add_run(engine, "summer")
    for _ in range(3):
        api.post(f"/api/v1/runs/{run_id}/pause")
        api.post(f"/api/v1/runs/{run_id}/resume")
    api.post("/api/v1/runs/lock_battery-summer/pause")

    actions, url = [], f"{AUDIT}?limit=2&run=lock_battery-spring"
    while url:
        page = api.get(url).json()
        actions += [each["action"] for each in page["entries"]]
        url = page["next"]

    assert actions == ["resume", "pause"] * 3
    newest = api.get(f"{AUDIT}?limit=1").json()["entries"][0]
    assert (newest["run"], newest["actor"], newest["sentence"]) == ("lock_battery-summer", "local", "paused the run")
    assert [each["run"] for each in api.get(f"{AUDIT}?action=pause&actor=local").json()["entries"]].count(
        "lock_battery-spring"
    ) == 3
    assert api.get(f"{AUDIT}?run=nothing").status_code == 404
    assert api.get(f"{AUDIT}?before=x").status_code == 422
