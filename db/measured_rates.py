"""What past runs have shown of each channel: how often it refuses, how soon it is answered, how fast we are."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, TypeVarTuple

from sqlalchemy import ColumnElement, Float, Integer, Select, cast, extract, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from db.tables import Attempt, Message, Run
from domain.measured import LEAST_MEASURED, ChannelRecord, Latency
from domain.states import HANDED_OVER, AttemptState, FailureKind

Ts = TypeVarTuple("Ts")

LOOKED_BACK = timedelta(days=90)
BUSY_SECONDS = 10
LEAST_BUSY = 100
"""Tries in so many seconds, below which a run was too small to show how fast we can be."""

_SETTLED = (*HANDED_OVER, AttemptState.FAILED, AttemptState.UNKNOWN)


def measured_rates(session: Session, campaign: str, channels: Collection[str]) -> dict[str, ChannelRecord]:
    """By channel: this campaign's own runs, or all where these are too few to say anything. A channel may be absent."""
    found = _records(session, channels, campaign)
    scarce = [name for name in channels if name not in found or found[name].tried < LEAST_MEASURED]
    found |= _records(session, scarce, None) if scarce else {}
    paces = _paces(session, channels)
    return {name: record.model_copy(update={"per_second": paces.get(name)}) for name, record in found.items()}


def _records(session: Session, channels: Collection[str], campaign: str | None) -> dict[str, ChannelRecord]:
    failures = _failures(session, channels, campaign)
    clicks = {row[0]: row[1:] for row in session.execute(_clicks(channels, campaign))}
    records = {}
    for channel, tried, unknown, to_acknowledge, acknowledged, after in session.execute(_tries(channels, campaign)):
        to_click, clicked, clicked_after = clicks.get(channel, (0, 0, None))
        records[channel] = ChannelRecord(
            channel=channel,
            tried=tried,
            failed=failures.get(channel, {}),
            unknown=unknown,
            to_acknowledge=to_acknowledge,
            acknowledged=acknowledged,
            acknowledged_after=_latency(after),
            to_click=to_click,
            clicked=clicked,
            clicked_after=_latency(clicked_after),
            of_this_campaign=campaign is not None,
        )
    return records


def _tries(channels: Collection[str], campaign: str | None) -> Select[str, int, int, int, int, Sequence[float]]:
    # Only where the wait is over: one that is awaited still is no silence.
    expected = Attempt.state.in_(HANDED_OVER) & Message.acknowledges & Message.ended_at.is_not(None)
    came = expected & Attempt.acknowledged_at.is_not(None)
    query = select(
        Attempt.channel,
        func.count(),
        func.count().filter(Attempt.state == AttemptState.UNKNOWN),
        func.count().filter(expected),
        func.count().filter(came),
        _quantiles(_seconds(Attempt.claimed_at, Attempt.acknowledged_at), came),
    )
    return _of_runs(query, channels, campaign).group_by(Attempt.channel)


def _failures(session: Session, channels: Collection[str], campaign: str | None) -> dict[str, dict[FailureKind, int]]:
    query = select(Attempt.channel, Attempt.failure, func.count()).where(Attempt.failure.is_not(None))
    found: dict[str, dict[FailureKind, int]] = {}
    for channel, failure, count in session.execute(
        _of_runs(query, channels, campaign).group_by(Attempt.channel, Attempt.failure)
    ):
        if failure is not None:
            found.setdefault(channel, {})[FailureKind(failure)] = count
    return found


def _clicks(channels: Collection[str], campaign: str | None) -> Select[str, int, int, Sequence[float]]:
    """Of the messages that have ended, by the channel that carried each last."""
    last = (
        _of_runs(select(Attempt.channel, Attempt.claimed_at, Message.clicked_at), channels, campaign)
        .where(Attempt.state.in_(HANDED_OVER), Message.ended_at.is_not(None))
        .ext(distinct_on(Attempt.message_id))
        .order_by(Attempt.message_id, Attempt.number.desc())
        .subquery()
    )
    clicked = last.c.clicked_at >= last.c.claimed_at
    after = _quantiles(_seconds(last.c.claimed_at, last.c.clicked_at), clicked)
    return select(last.c.channel, func.count(), func.count().filter(clicked), after).group_by(last.c.channel)


def _paces(session: Session, channels: Collection[str]) -> dict[str, float]:
    """Of our own engine, over all campaigns."""
    tens = cast(func.floor(extract("epoch", Attempt.claimed_at) / BUSY_SECONDS), Integer)
    busy = (
        _of_runs(select(Attempt.channel, func.count().label("tries")), channels, None)
        .group_by(Attempt.channel, tens)
        .having(func.count() >= LEAST_BUSY)
        .subquery()
    )
    fastest = select(busy.c.channel, func.max(busy.c.tries)).group_by(busy.c.channel)
    return {channel: tries / BUSY_SECONDS for channel, tries in session.execute(fastest)}


def _of_runs(query: Select[*Ts], channels: Collection[str], campaign: str | None) -> Select[*Ts]:
    recent = (
        query.select_from(Attempt)
        .join(Message, Message.id == Attempt.message_id)
        .join(Run, Run.id == Attempt.run_id)
        .where(Run.created_at > func.clock_timestamp() - LOOKED_BACK)
        .where(Attempt.channel.in_(channels), Attempt.state.in_(_SETTLED))
    )
    return recent if campaign is None else recent.where(Run.campaign == campaign)


def _seconds(since: Any, until: Any) -> ColumnElement[float]:  # noqa: ANN401 - columns, of a table or a subquery
    return cast(extract("epoch", until - since), Float)


def _quantiles(seconds: ColumnElement[float], of: ColumnElement[bool]) -> ColumnElement[Sequence[float]]:
    return func.percentile_cont([0.5, 0.9]).within_group(seconds).filter(of)


def _latency(quantiles: Sequence[float] | None) -> Latency | None:
    return Latency(median_seconds=quantiles[0], p90_seconds=quantiles[1]) if quantiles else None
