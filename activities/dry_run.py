"""A dry run: the real audience, the real tables and the real ladder, in a transaction that is never committed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from activities.trial import try_snapshot
from campaigns.campaign import Campaign, Parameters
from channels.interface import Channel
from db.batches import recipient_of
from db.situation import Situation, look
from db.tables import Message as MessageRow
from domain.hashing import AddressHasher
from domain.house_rules import HouseRules
from domain.ladder import Done, Send, Wait, next_step
from domain.masking import mask

SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Sample:
    recipient_id: str
    decision: str
    """The channel, or why nothing would be sent."""
    address: str
    """Masked."""
    title: str
    body: str


@dataclass(slots=True)
class DryRun:
    campaign: str
    targeted: int = 0
    by_channel: Counter[str] = field(default_factory=Counter)
    """How many would be sent at once, by the first channel."""
    deferred: Counter[str] = field(default_factory=Counter)
    """How many would wait, by reason."""
    not_sent: Counter[str] = field(default_factory=Counter)
    """How many would end without being sent, by reason."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What the source saw and the campaign does not target."""
    noted: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    off: list[str] = field(default_factory=list)
    """Channels of the campaign that are off, and so no rungs."""


@dataclass(frozen=True, slots=True)
class DryRunner:
    engine: Engine
    channels: Mapping[str, Channel]
    sources: Mapping[str, Any]
    hash_address: AddressHasher
    house_rules: HouseRules

    def predict(
        self, campaign: Campaign[Any], parameters: Parameters, *, bypass_frequency_caps: bool = False
    ) -> DryRun:
        """What a run started now would do first. Nothing is stored and nothing is sent."""
        snapshot = try_snapshot(
            self.engine,
            campaign,
            parameters,
            channels=self.channels,
            sources=self.sources,
            house_rules=self.house_rules,
            bypass_frequency_caps=bypass_frequency_caps,
        )
        with snapshot as trial:
            prediction = DryRun(
                campaign.name,
                trial.targeted,
                left_out=trial.left_out,
                noted=trial.noted,
                off=trial.off,
            )
            self._count_decisions(trial.session, trial.run_id, campaign, parameters, prediction)
        return prediction

    def _count_decisions(
        self, session: Session, run_id: UUID, campaign: Campaign[Any], parameters: Parameters, prediction: DryRun
    ) -> None:
        of_run = select(MessageRow.id).where(MessageRow.run_id == run_id).order_by(MessageRow.position)
        for message_id in session.scalars(of_run).all():
            situation = look(session, message_id, self.hash_address)
            if situation is None:
                raise RuntimeError(f"message {message_id} of a dry run vanished")
            decision, address = self._count(prediction, situation)
            if len(prediction.samples) < SAMPLES:
                recipient = recipient_of(session.get_one(MessageRow, message_id))
                written = campaign.message(recipient, parameters)
                sample = Sample(recipient.id, decision, mask(address) if address else "", written.title, written.body)
                prediction.samples.append(sample)
            session.expunge_all()

    @staticmethod
    def _count(prediction: DryRun, situation: Situation) -> tuple[str, str | None]:
        """What would be done first, in a word; and the address, where something is sent."""
        step = next_step(situation.message, situation.plan, situation.run, situation.person, situation.now)
        match step:
            case Send(channel=channel, address=address):
                prediction.by_channel[channel] += 1
                return channel, address
            case Wait(reason=reason):
                prediction.deferred[reason] += 1
                return f"waits: {reason}", None
            case Done(state=state, reason=reason):
                prediction.not_sent[reason or state] += 1
                return reason or state, None
