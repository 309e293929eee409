"""What a forecast rests on that nobody has measured, in sentences for people."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from domain.forecast import Launched, Pace, PaceBasis
from domain.measured import ChannelRecord
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
        if taken := list(_of_channel(record, paces[rung.channel], plan, devices=devices)):
            said.append(f"{rung.channel}: {', '.join(taken)}; past runs show too little of it.")
    if launch.approval_needed:
        said.append("Somebody approves the run at once.")
    if plan.caps:
        said.append("No other campaign sends meanwhile; what was sent before counts for the caps.")
    return tuple(said)


def _of_channel(record: ChannelRecord, pace: Pace, plan: Plan, *, devices: bool) -> Iterator[str]:
    if pace.basis is PaceBasis.ASSUMED:
        yield f"{pace.per_second:g} sends a second"
    if not record.knows_outcomes:
        yield "every try is accepted"
    if plan.awaits and devices and not record.knows_acknowledgements:
        yield "no device acknowledges"
    if Awaited.CLICK in plan.awaits and not record.knows_clicks:
        yield "nobody clicks"
