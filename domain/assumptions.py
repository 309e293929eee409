"""What a forecast rests on that nobody has measured, in sentences for people."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from domain.forecast import Launched, Pace, PaceBasis
from domain.measured import LEAST_MEASURED, ChannelRecord
from domain.plan import Plan
from domain.states import Awaited

NOW = timedelta(minutes=1)
"""A start no further off than this is now."""


def assumptions(
    plan: Plan,
    paces: Mapping[str, Pace],
    records: Mapping[str, ChannelRecord],
    launch: Launched,
    *,
    starts_at: datetime,
    read_at: datetime,
    devices: bool,
) -> tuple[str, ...]:
    """`devices`: whether any of the audience has a device of ours, which would acknowledge."""
    said: list[str] = []
    if abs(starts_at - read_at) > NOW:
        said.append(f"The audience is as it was read on {read_at:%Y-%m-%d %H:%M} UTC; by then it may be another.")
    for rung in plan.ladder:
        record = records.get(rung.channel, ChannelRecord(channel=rung.channel))
        said.extend(_of_channel(record, paces[rung.channel], plan, devices=devices))
    if launch.approval_needed:
        said.append("Somebody approves the run at once.")
    if plan.caps:
        said.append("No other campaign sends meanwhile; what was sent before counts for the caps.")
    return tuple(said)


def _of_channel(record: ChannelRecord, pace: Pace, plan: Plan, *, devices: bool) -> Iterator[str]:
    if pace.basis is PaceBasis.ASSUMED:
        yield f"{record.channel}: {pace.per_second:g} sends a second; no run has shown how many we can make."
    few = f"fewer than {LEAST_MEASURED} are measured"
    if not record.knows_outcomes:
        yield f"{record.channel}: every try is accepted; {few}."
    if plan.awaits and devices and not record.knows_acknowledgements:
        yield f"{record.channel}: no device acknowledges; {few}."
    if Awaited.CLICK in plan.awaits and not record.knows_clicks:
        yield f"{record.channel}: nobody clicks; {few}."
