"""The real audience in the real tables, as a run would have it, in a transaction that is never committed."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from activities.audience import source_of
from activities.opening import freeze
from campaigns.campaign import Campaign, Parameters
from channels.interface import Channel
from db.audience import add_messages, assign, close_snapshot, store_rows
from db.engine import read_at_leisure
from db.runs import RunView, open_run, plan_of, starts_at
from domain.house_rules import HouseRules
from domain.message import Scan
from domain.plan import Launch, Plan


@dataclass(frozen=True, slots=True)
class Trial:
    session: Session
    run_id: UUID
    plan: Plan
    """As the run would have it, launch with care included."""
    off: list[str]
    """Channels of the campaign that are off, and so no rungs."""
    targeted: int
    left_out: Counter[str]
    """What the source saw and the campaign does not target."""
    noted: Counter[str]


@contextmanager
def try_snapshot(
    engine: Engine,
    campaign: Campaign[Any],
    parameters: Parameters,
    *,
    channels: Mapping[str, Channel],
    sources: Mapping[str, Any],
    house_rules: HouseRules,
    at: datetime | None = None,
    drawn_as: str | None = None,
    bypass_frequency_caps: bool = False,
) -> Iterator[Trial]:
    """As a run would take it that starts at this time (None: now); gone when the block is left.

    `drawn_as`: the workflow id of the run whose lots of the held out are drawn; None: of a run that never was.
    """
    wanted = campaign.plan(parameters)
    plan = freeze(campaign, wanted, channels, house_rules, bypass_frequency_caps=bypass_frequency_caps)
    source = source_of(campaign, sources)
    with Session(engine) as session:
        try:
            read_at_leisure(session)  # nobody else sees these rows, either
            slot = f"trial-{uuid4()}"
            values = parameters.model_dump(mode="json")
            # All of its gates open at once: what is decided on the other side of them is what is asked for.
            open_at_once = plan.model_copy(update={"launch": Launch()})
            run = open_run(
                session, workflow_id=slot, campaign=campaign.name, slot=slot, parameters=values, plan=open_at_once
            )
            if at is not None:
                run = starts_at(session, run.id, at)
            left_out, noted = _store_audience(session, run, campaign, parameters, source)
            targeted = _make_messages(session, run.id, left_out, noted, drawn_as)
            off = [rung.channel for rung in wanted.ladder if rung.channel not in channels]
            yield Trial(session, run.id, plan, off, targeted, left_out, noted)
        finally:
            session.rollback()


def _store_audience(
    session: Session,
    run: RunView,
    campaign: Campaign[Any],
    parameters: Parameters,
    source: Any,  # noqa: ANN401 - each campaign knows its own
) -> tuple[Counter[str], Counter[str]]:
    left_out, noted = Counter[str](), Counter[str]()
    for page in campaign.audience(parameters, source, Scan(as_of=run.started_at or run.created_at)):
        store_rows(session, run.id, page.recipients)
        left_out.update(page.left_out)
        noted.update(page.noted)
    return left_out, noted


def _make_messages(
    session: Session, run_id: UUID, left_out: Counter[str], noted: Counter[str], drawn_as: str | None
) -> int:
    assignment = assign(session, run_id)
    if drawn_as is not None:
        assignment = replace(assignment, run=drawn_as)
    channels = [rung.channel for rung in plan_of(session, run_id).ladder]
    while add_messages(session, run_id, channels, assignment=assignment):
        session.expunge_all()
    return close_snapshot(session, run_id, left_out, noted)
