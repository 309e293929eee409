"""Figures for Prometheus: the ledger's, counted in the database when asked for, and the relay's."""

import time
from collections.abc import Iterator
from threading import Lock

import structlog
from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from api.bounds import MovingWindow
from api.keys import Viewer
from api.problems import brief, problems
from api.relay import Relay
from db.metrics import Figure, read_figures

COUNTED_EVERY_SECONDS = 10.0
"""Scrapes within so long see the same count."""

router = APIRouter(tags=["Health"])
log = structlog.get_logger()


class LedgerCollector(Collector):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._counted_at = float("-inf")
        self._figures: list[Figure] | None = None

    def collect(self) -> Iterator[Metric]:
        figures = self._recent_figures()
        yield GaugeMetricFamily(
            "drumbeat_database_up", "1 where the figures could be counted.", value=float(figures is not None)
        )
        for figure in figures or ():
            family = GaugeMetricFamily(figure.name, figure.explained, labels=figure.labels)
            for values, count in figure.counts:
                family.add_metric(values, count)
            yield family

    def _recent_figures(self) -> list[Figure] | None:
        """Many scrapes at once count once."""
        with self._lock:
            if time.monotonic() - self._counted_at > COUNTED_EVERY_SECONDS:
                self._figures = self._read()
                self._counted_at = time.monotonic()
            return self._figures

    def _read(self) -> list[Figure] | None:
        try:
            return read_figures(self._engine)
        except SQLAlchemyError as error:
            log.error("figures_not_counted", error=brief(error))  # noqa: TRY400 - an outage needs no stack trace
            return None


class RelayCollector(Collector):
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def collect(self) -> Iterator[Metric]:
        counts = self._relay.counts
        yield GaugeMetricFamily(
            "drumbeat_relay_waiting", "Nudges that wait to be sent to Temporal.", value=self._relay.waiting
        )
        ends = CounterMetricFamily(
            "drumbeat_relay_nudges", "Nudges by what became of them; Sweep finds what was lost.", labels=["end"]
        )
        for end, count in (("sent", counts.sent), ("dropped", counts.dropped), ("given_up", counts.given_up)):
            ends.add_metric([end], count)
        yield ends
        yield CounterMetricFamily(
            "drumbeat_relay_retries", "Further tries, since Temporal was busy or away.", value=counts.retried
        )


class BoundCollector(Collector):
    def __init__(self, window: MovingWindow) -> None:
        self._window = window

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "drumbeat_public_requests_refused",
            "Requests beyond one client's bound: clicks that were taken on without being stored, and checks.",
            value=self._window.refused,
        )


def make_registry(engine: Engine, relay: Relay, window: MovingWindow) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(LedgerCollector(engine))
    registry.register(RelayCollector(relay))
    registry.register(BoundCollector(window))
    return registry


@router.get(
    "/metrics",
    response_class=Response,
    responses=problems(401, 403) | {200: {"description": "Figures", "content": {"text/plain": {}}}},
)
def metrics(request: Request, _: Viewer) -> Response:
    """Figures in Prometheus' text format, or OpenMetrics where that is asked for. Needs the scope `view`."""
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    registry: CollectorRegistry = request.app.state.metrics
    return Response(encode(registry), media_type=media_type)
