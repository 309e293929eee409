"""Figures for monitoring, counted when they are asked for. What that costs is bounded: recent runs, and a time-out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine, Executable, String, cast, func, select, text
from sqlalchemy.orm import Session

from db.engine import transaction
from db.tables import Acknowledgement, Attempt, Click, Message, Run

RECENT = timedelta(days=31)
RUNS_AT_MOST = 500
_COUNT_MILLISECONDS = 2_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One gauge: `counts` by the values of `labels`."""

    name: str
    explained: str
    labels: tuple[str, str]
    counts: tuple[tuple[tuple[str, str], int], ...]


def read_figures(engine: Engine) -> list[Figure]:
    """All figures of one moment. Raises OperationalError where the database is away or counting takes too long."""
    with transaction(engine) as session:
        session.execute(text(f"set local statement_timeout = {_COUNT_MILLISECONDS}"))
        session.execute(text("set transaction isolation level repeatable read, read only"))
        return list(_figures(session))


def _figures(session: Session) -> Iterator[Figure]:
    runs = (
        select(Run.id, Run.campaign, Run.state)
        .where(Run.created_at > func.clock_timestamp() - RECENT)
        .order_by(Run.created_at.desc())
        .limit(RUNS_AT_MOST)
        .cte("recent")
    )
    campaign = runs.c.campaign
    of_runs: list[tuple[str, str, tuple[str, str], Executable]] = [
        (
            "runs",
            "Runs of the last 31 days by campaign and state.",
            ("campaign", "state"),
            select(campaign, runs.c.state, func.count()).group_by(campaign, runs.c.state),
        ),
        (
            "messages",
            "Messages of those runs by campaign and state; each is in one state.",
            ("campaign", "state"),
            select(campaign, Message.state, func.count())
            .join(Message, Message.run_id == runs.c.id)
            .group_by(campaign, Message.state),
        ),
        (
            "attempts",
            "Tries of those runs to hand a message to a provider, by channel and state.",
            ("channel", "state"),
            select(Attempt.channel, Attempt.state, func.count())
            .join(runs, Attempt.run_id == runs.c.id)
            .group_by(Attempt.channel, Attempt.state),
        ),
        (
            "acknowledgements",
            "Acknowledgements that came, repeated ones too, by channel, and whether the message had ended before.",
            ("channel", "late"),
            select(Attempt.channel, cast(Acknowledgement.late, String), func.count())
            .join(Attempt, Attempt.id == Acknowledgement.attempt_id)
            .join(runs, Attempt.run_id == runs.c.id)
            .group_by(Attempt.channel, Acknowledgement.late),
        ),
        (
            "clicks",
            'Hits on links in the last 31 days by class; only a person\'s count. Campaign "": of none of those runs.',
            ("campaign", "click_class"),
            select(func.coalesce(campaign, ""), Click.click_class, func.count())
            .join_from(Click, runs, Click.run_id == runs.c.id, isouter=True)
            .where(Click.clicked_at > func.clock_timestamp() - RECENT)
            .group_by(campaign, Click.click_class),
        ),
    ]
    for name, explained, labels, query in of_runs:
        counts = tuple(((first, second), count) for first, second, count in session.execute(query))
        yield Figure(f"drumbeat_{name}", explained, labels, counts)
