"""`GET /api/v1/missed-runs`."""

from datetime import UTC, datetime, timedelta

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from db.engine import transaction
from db.missed import note_missed

MISSED = "/api/v1/missed-runs"
MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)


def note(engine: Engine, campaign: str, weeks: int) -> None:
    with transaction(engine) as session:
        note_missed(session, campaign, MONDAY + timedelta(weeks=weeks), "3 days late, more than the campaign allows")


def test_nothing_missed_is_an_empty_list(api: TestClient) -> None:
    assert api.get(MISSED).json() == {"missed_runs": [], "next": None}


def test_what_was_missed_is_listed_in_pages_with_the_reason(api: TestClient, engine: Engine) -> None:
    for campaign, weeks in (("lock_battery", 0), ("other", 0), ("lock_battery", 1)):
        note(engine, campaign, weeks)

    first = api.get(MISSED, params={"limit": 2}).json()
    second = api.get(first["next"]).json()

    listed = [(each["campaign"], each["planned_at"][:10]) for each in first["missed_runs"] + second["missed_runs"]]
    assert listed == [("lock_battery", "2026-11-30"), ("other", "2026-11-23"), ("lock_battery", "2026-11-23")]
    assert second["next"] is None
    assert first["missed_runs"][0]["reason"] == "3 days late, more than the campaign allows"


def test_those_of_one_campaign_stay_those_of_one_campaign_on_the_next_page(api: TestClient, engine: Engine) -> None:
    for campaign, weeks in (("lock_battery", 0), ("other", 0), ("lock_battery", 1)):
        note(engine, campaign, weeks)

    first = api.get(MISSED, params={"limit": 1, "campaign": "lock_battery"}).json()
    second = api.get(first["next"]).json()

    assert [each["planned_at"][:10] for each in second["missed_runs"]] == ["2026-11-23"]
    assert second["missed_runs"][0]["campaign"] == "lock_battery"


def test_a_time_without_a_zone_is_refused(api: TestClient) -> None:
    answer = api.get(MISSED, params={"before": "2026-11-23T09:00:00"})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["query.before"]
