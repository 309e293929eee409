"""A rehearsal: the real audience and the real decision in virtual time. Nothing is stored, nothing is sent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from activities.trial import Trial, try_snapshot
from campaigns.campaign import Campaign, Parameters
from channels.interface import Channel
from db.cast import read_cast
from db.measured_rates import measured_rates
from db.runs import get_run
from domain.assumptions import assumptions
from domain.forecast import ChannelForecast, Forecast, Launched, Pace, pace_of
from domain.hashing import AddressHasher
from domain.house_rules import HouseRules
from domain.ids import run_id_of, run_workflow_id
from domain.ladder import RunFacts
from domain.launching import awaits_approval, canary_size
from domain.measured import ASSUMED_PER_SECOND, ChannelRecord, MeasuredAnswers
from domain.plan import Plan
from domain.rehearsal import Rehearsal, Role
from domain.states import RunState
from domain.tally import Tally
from domain.watching import Watch


@dataclass(frozen=True, slots=True)
class Staged:
    """All that a rehearsal needs to know; the database is not asked again."""

    plan: Plan
    run: RunFacts
    cast: Sequence[Role]
    measured: Mapping[str, ChannelRecord]
    """By channel; one of which nothing is known is not in it."""
    read_at: datetime
    """When the audience was read."""
    off: Sequence[str]
    left_out: Mapping[str, int]
    noted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rehearser:
    engine: Engine
    channels: Mapping[str, Channel]
    sources: Mapping[str, Any]
    hash_address: AddressHasher
    house_rules: HouseRules

    def rehearse(
        self, campaign: Campaign[Any], parameters: Parameters, *, at: datetime | None = None, seed: int = 0
    ) -> Forecast:
        """What a run would come to that starts `at` (None: now), with answers drawn from what was measured."""
        drawn_as = run_workflow_id(campaign.name, f"rehearsal-{seed}")
        staged = self.staged(campaign, parameters, at=at, drawn_as=drawn_as)
        zone = campaign.schedule.zone if campaign.schedule else staged.plan.zone
        return self._forecast(campaign.name, staged, zone, seed)

    def staged(
        self, campaign: Campaign[Any], parameters: Parameters, *, at: datetime | None = None, drawn_as: str
    ) -> Staged:
        """`drawn_as`: the workflow id of the run whose lots (holdout, jitter) are drawn."""
        snapshot = try_snapshot(
            self.engine,
            campaign,
            parameters,
            channels=self.channels,
            sources=self.sources,
            house_rules=self.house_rules,
            at=at,
            drawn_as=drawn_as,
        )
        with snapshot as trial:
            return self._staged(trial, campaign.name, drawn_as)

    def _staged(self, trial: Trial, campaign: str, drawn_as: str) -> Staged:
        run, plan = get_run(trial.session, trial.run_id), trial.plan
        at = run.started_at or run.created_at
        return Staged(
            plan=plan,
            run=RunFacts(RunState.RUNNING, at),
            cast=read_cast(
                trial.session, trial.run_id, self.hash_address, plan=plan, at=at, drawn_as=run_id_of(drawn_as)
            ),
            measured=measured_rates(trial.session, campaign, [rung.channel for rung in plan.ladder]),
            read_at=run.created_at,
            off=trial.off,
            left_out=trial.left_out,
            noted=trial.noted,
        )

    def _forecast(self, campaign: str, staged: Staged, zone: str, seed: int) -> Forecast:
        plan, tally, watch = staged.plan, Tally(zone), Watch(staged.plan)
        paces = {rung.channel: self._pace(rung.channel, staged.measured) for rung in plan.ladder}
        rehearsal = Rehearsal(
            plan,
            staged.run,
            staged.cast,
            MeasuredAnswers(staged.measured, plan, seed),
            {channel: pace.per_second for channel, pace in paces.items()},
            opens_at=opens_at(plan, staged.run.started_at),
            canary=canary_size(plan.launch, len(staged.cast), None),
        )
        for decided in rehearsal.decisions():
            tally.count(decided)
            watch.count(decided, canary_settled=rehearsal.canary_is_watched)
        channels = tuple(self._channel(tally, rung.channel, paces[rung.channel]) for rung in plan.ladder)
        launch = _launched(staged, rehearsal, watch)
        return Forecast(
            campaign=campaign,
            starts_at=staged.run.started_at,
            zone=zone,
            seed=seed,
            targeted=len(staged.cast),
            ends=tally.ends,
            not_sent=tally.not_sent,
            put_off=tally.put_off,
            hours=tally.hours,
            channels=channels,
            first_send=min((each.first_send for each in channels if each.first_send), default=None),
            last_send=max((each.last_send for each in channels if each.last_send), default=None),
            last_end=tally.last_end,
            cost=_cost(channels),
            launch=launch,
            off=tuple(staged.off),
            left_out=staged.left_out,
            noted=staged.noted,
            measured=tuple(staged.measured.values()),
            assumed=assumptions(
                plan,
                paces,
                staged.measured,
                launch,
                starts_at=staged.run.started_at,
                read_at=staged.read_at,
                devices=any(role.message.acknowledges for role in staged.cast),
            ),
        )

    def _pace(self, channel: str, measured: Mapping[str, ChannelRecord]) -> Pace:
        declared, record = self.channels[channel].facts.per_second, measured.get(channel)
        return pace_of(declared, record.per_second if record else None, ASSUMED_PER_SECOND)

    def _channel(self, tally: Tally, name: str, pace: Pace) -> ChannelForecast:
        facts = self.channels[name].facts
        return tally.channel(name, pace, facts.cost, facts.currency)


def _launched(staged: Staged, rehearsal: Rehearsal, watch: Watch) -> Launched:
    launch, targeted = staged.plan.launch, len(staged.cast)
    opened_at = opens_at(staged.plan, staged.run.started_at)
    return Launched(
        approval_needed=awaits_approval(launch, targeted, approved_by=None),
        undo_until=opened_at if launch.undo_seconds else None,
        canary=canary_size(launch, targeted, None),
        canary_settled_at=rehearsal.canary_settled_at,
        others_go_at=rehearsal.released_at,
        would_halt=watch.tripped,
        would_halt_at=watch.tripped_at,
    )


def _cost(channels: Iterable[ChannelForecast]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for each in channels:
        if each.cost is not None and each.currency is not None:
            total[each.currency] = total.get(each.currency, Decimal(0)) + each.cost
    return total


def opens_at(plan: Plan, started_at: datetime) -> datetime:
    """When the first may be sent to: the undo window comes before."""
    return started_at + timedelta(seconds=plan.launch.undo_seconds or 0)
