from dataclasses import replace

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine
from temporalio.client import Client

from api.parts import Parts
from domain.tokens import Signer
from tests.api.conftest import OpenApp
from tests.api.rows import add_run, add_sent_message, away_from
from tests.api.temporal_double import TemporalDouble
from tests.api.test_acknowledgements import acknowledge
from tests.api.test_clicks import PHONE, historical, link_to

RUNS = "/api/v1/runs"


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_process_is_alive_whatever_else_is_away(open_app: OpenApp, parts: Parts, engine: Engine) -> None:
    answer = open_app(replace(parts, engine=away_from(engine))).get("/healthz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "alive"}


def test_readiness_names_what_is_away(
    open_app: OpenApp, parts: Parts, engine: Engine, temporal: TemporalDouble
) -> None:
    both, no_database = open_app(parts), open_app(replace(parts, engine=away_from(engine)))

    assert both.get("/readyz").json() == {"status": "ready", "database": "ok", "temporal": "ok"}
    assert no_database.get("/readyz").status_code == 503
    assert no_database.get("/readyz").json()["database"] == "cannot be reached"
    assert no_database.get("/readyz").json()["temporal"] == "ok"
    temporal.away = True
    answer = open_app(parts).get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["type"] == "/docs#not-ready"
    assert (answer.json()["database"], answer.json()["temporal"]) == ("ok", "cannot be reached")


def test_readiness_is_bounded_for_each_client(open_app: OpenApp, parts: Parts) -> None:
    api = open_app(replace(parts, public_requests_a_minute=1))

    assert [api.get("/readyz").status_code, api.get("/readyz").status_code] == [200, 429]


def test_the_metrics_are_the_ledgers(api: TestClient, engine: Engine, signer: Signer, temporal: TemporalDouble) -> None:
    sent, acked = add_sent_message(engine), add_sent_message(engine, slot="summer")
    add_run(engine, "autumn")
    acknowledge(api, acked.attempt_id, signer.ack_token(acked.attempt_id))
    api.get(historical(campaign_id="long_ago"), headers=PHONE)
    api.get(link_to(signer, sent.message_id), headers={"User-Agent": "curl/8.5.0"})
    temporal.next_signal()

    answer = api.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    found = samples(answer.text)
    assert found["drumbeat_database_up",] == 1
    assert found["drumbeat_runs", "lock_battery", "running"] == 3
    assert found["drumbeat_messages", "lock_battery", "sent"] == 1
    assert found["drumbeat_messages", "lock_battery", "delivered"] == 1
    assert found["drumbeat_attempts", "fcm", "delivered"] == 1
    assert found["drumbeat_acknowledgements", "fcm", "false"] == 1
    assert found["drumbeat_clicks", "", "person"] == 1
    assert found["drumbeat_clicks", "lock_battery", "scanner"] == 1
    assert found["drumbeat_relay_waiting",] == 0
    assert "# HELP drumbeat_messages " in answer.text


def test_many_scrapes_count_once(api: TestClient, engine: Engine) -> None:
    assert ("drumbeat_runs", "lock_battery", "running") not in samples(api.get("/metrics").text)
    add_run(engine)

    assert ("drumbeat_runs", "lock_battery", "running") not in samples(api.get("/metrics").text)


def test_the_metrics_say_that_the_database_is_away(open_app: OpenApp, parts: Parts, engine: Engine) -> None:
    answer = open_app(replace(parts, engine=away_from(engine))).get("/metrics")

    assert answer.status_code == 200
    assert samples(answer.text)["drumbeat_database_up",] == 0


def test_the_metrics_are_given_as_openmetrics_where_that_is_asked_for(api: TestClient) -> None:
    answer = api.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_with_a_real_temporal_the_api_is_ready_and_one_key_is_one_run(
    open_app: OpenApp, parts: Parts, temporal_client: Client
) -> None:
    async def connect() -> Client:
        return temporal_client

    api = open_app(replace(parts, connect=connect, core_queue="api-tests"))
    order, key = {"campaign": "lock_battery"}, {"Idempotency-Key": "on-the-real-server"}

    assert api.get("/readyz").status_code == 200
    assert [api.post(RUNS, json=order, headers=key).status_code for _ in range(2)] == [202, 200]
