"""Weekly: everybody with a smart lock whose battery was not checked for a month gets one push that names the locks."""

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from campaigns.campaign import Campaign, Parameters, Schedule
from domain.message import AudiencePage, Message, Recipient, Scan
from domain.outcomes import Reading
from domain.plan import HoldoutPercent, Plan, Rung
from domain.states import Awaited
from sources.locks import Locks, MappedLock

NAMED_AT_MOST = 5


class LockBattery(Parameters):
    stale_after_days: Annotated[int, Field(ge=1, le=3650)] = 30
    ttl_seconds: Annotated[int, Field(ge=1, le=28 * 24 * 3600)] = 24 * 3600
    effectiveness_window_days: Annotated[float, Field(gt=0, le=365, allow_inf_nan=False)] = 7
    holdout_percent: HoldoutPercent = 0


def plan(parameters: LockBattery) -> Plan:
    return Plan(
        ladder=tuple(Rung(channel=channel, ttl_seconds=parameters.ttl_seconds) for channel in ("fcm", "mqtt")),
        awaits=frozenset({Awaited.ACKNOWLEDGEMENT, Awaited.CLICK}),
        holdout_percent=parameters.holdout_percent,
        measured_for_seconds=parameters.effectiveness_window_days * 24 * 3600,
    )


def audience(parameters: LockBattery, locks: Locks, scan: Scan) -> Iterator[AudiencePage]:
    for page in locks.stale(timedelta(days=parameters.stale_after_days), scan):
        before = {lock.lock_id: lock.last_check.reading for lock in page.locks}
        yield AudiencePage(tuple(map(_owner, page.locks)), page.left_out, page.noted, page.bookmark, before)


def message(recipient: Recipient, _: LockBattery) -> Message:
    locks: list[str] = recipient.facts["locks"]
    named = ", ".join(locks[:NAMED_AT_MOST]) + (" …" if len(locks) > NAMED_AT_MOST else "")
    title = "Check your lock's battery" if len(locks) == 1 else f"Check the batteries of {len(locks)} locks"
    return Message(title, f"Not checked for a while: {named}. It takes a minute.", {"lock_id": locks[0]})


def read_again(locks: Locks, lock_ids: Collection[str]) -> Mapping[str, Reading]:
    return {lock_id: check.reading for lock_id, check in locks.last_checks(lock_ids).items()}


def _owner(lock: MappedLock) -> Recipient:
    return Recipient(
        id=lock.user_id,
        subject=lock.lock_id,
        person_key=lock.user_id,
        facts={"locks": [lock.lock_id]},
        addresses={"fcm": (lock.fcm_id,)} if lock.fcm_id else {},
    )


CAMPAIGN = Campaign(
    name="lock_battery",
    purpose="Asks the owners of locks that were not checked for a month to check the battery.",
    parameters=LockBattery,
    source="locks",
    schedule=Schedule(cron="0 9 * * MON"),
    plan=plan,
    audience=audience,
    message=message,
    read_again=read_again,
)
