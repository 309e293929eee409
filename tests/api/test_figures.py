import json

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.figures import FiguresPage
from domain.states import RunState
from tests.api.figures_by_hand import EFFECTIVENESS, LIFT, a_run
from tests.api.measured_rows import Course, add_measured_run, slot_of
from tests.api.rows import add_run

FIGURES = "/api/v1/campaigns/lock_battery/figures"


def test_the_figures_of_a_run_are_those_of_its_rows(api: TestClient, engine: Engine) -> None:
    run_id = add_measured_run(engine, course=Course(sent=40, held_out=10, failed=2, clicked=8, helped=21))

    [run] = api.get(FIGURES).json()["figures"]

    assert run["run_id"] == str(run_id)
    assert {name: run[name] for name in ("targeted", "held_out", "sent", "failed", "clicked")} == {
        "targeted": 52,
        "held_out": 10,
        "sent": 40,
        "failed": 2,
        "clicked": 8,
    }
    assert run["click_through_rate"] == 0.2
    assert run["effectiveness"]["share"] == 0.5
    assert run["lift"]["low"] < run["lift"]["lift"] < run["lift"]["high"]


def test_figures_come_in_pages_with_the_newest_first(api: TestClient, engine: Engine) -> None:
    for week in range(3):
        add_measured_run(engine, week, Course(sent=2, held_out=0, failed=0))

    first = api.get(FIGURES, params={"limit": 2}).json()
    second = api.get(first["next"]).json()

    assert [run["slot"] for run in first["figures"]] == [slot_of(2), slot_of(1)]
    assert [run["slot"] for run in second["figures"]] == [slot_of(0)]
    assert second["next"] is None


def test_a_run_that_has_not_begun_has_nulls_and_no_division_by_zero(api: TestClient, engine: Engine) -> None:
    add_run(engine, state=RunState.QUEUED, targeted=None)

    [run] = api.get(FIGURES).json()["figures"]

    assert (run["sent"], run["click_through_rate"], run["effectiveness"], run["lift"]) == (0, None, None, None)


def test_what_is_no_number_is_null(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    nan, infinite = float("nan"), float("inf")
    run = a_run(
        click_through_rate=nan,
        effectiveness=EFFECTIVENESS.model_copy(update={"share": infinite}),
        lift=LIFT.model_copy(update={"lift": nan, "low": -infinite, "high": infinite}),
    )
    monkeypatch.setattr("api.figures.campaign_figures", lambda *_: [run])

    answer = api.get(FIGURES)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    [shown] = json.loads(answer.text, parse_constant=refuse)["figures"]
    assert (shown["click_through_rate"], shown["effectiveness"]["share"]) == (None, None)
    assert [shown["lift"][name] for name in ("lift", "low", "high")] == [None] * 3


def test_an_unknown_campaign_names_those_that_are_known(api: TestClient) -> None:
    answer = api.get("/api/v1/campaigns/lock_batery/figures")

    assert answer.status_code == 404
    assert answer.json()["type"] == "/docs#unknown-campaign"
    assert "lock_battery" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "before=2026-01-05", "before=monday"])
def test_a_malformed_query_names_the_field(api: TestClient, query: str) -> None:
    answer = api.get(f"{FIGURES}?{query}")

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [f"query.{query.partition('=')[0]}"]


@pytest.mark.parametrize("before", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_ends_of_time_are_a_time(api: TestClient, engine: Engine, before: str) -> None:
    add_measured_run(engine, course=Course(sent=1, held_out=0, failed=0))

    answer = api.get(FIGURES, params={"before": before})

    assert answer.status_code == 200
    assert len(answer.json()["figures"]) == int(before > "2026")


def test_the_description_has_an_example_that_is_one(api: TestClient) -> None:
    assert api.get("/openapi.json").json()["components"]["schemas"]["FiguresPage"]["examples"]

    [example] = FiguresPage.model_json_schema()["examples"]
    [run] = FiguresPage.model_validate(example).figures
    assert run.effectiveness
    assert run.lift
    assert run.click_through_rate == pytest.approx(run.clicked / run.sent, abs=0.0001)
    assert run.effectiveness.subjects == run.effectiveness.helped + sum(run.effectiveness.without.values())
    assert run.effectiveness.share == pytest.approx(run.effectiveness.helped / run.effectiveness.subjects, abs=0.0001)
