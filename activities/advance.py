"""The one sending activity: claim, hand over, record, and say what comes next."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity

from activities.orders import MessageOrder, NextStep, StepKind
from channels.interface import (
    Channel,
    ChannelError,
    NotPermittedError,
    OutcomeUnknownError,
    Outgoing,
    ProviderBusyError,
)
from db.decisions import Claim, Decision, decide
from db.engine import transaction
from db.outcomes import Outcome, record
from domain.backoff import PREPARE_RETRY, asked_for
from domain.hand_over import ADVANCE_TIMEOUT, HAND_OVER_LIMIT, RECORD_TIMEOUT
from domain.hashing import AddressHasher
from domain.ladder import Done, Send, Wait
from domain.states import AttemptState

log = structlog.get_logger()

RECORD_UNTIL = ADVANCE_TIMEOUT - RECORD_TIMEOUT
"""From before the claim on: a try to record that begins later could outlast the activity."""
RECORD_AGAIN_SECONDS = 0.2


class Links(Protocol):
    """What makes the signed parts of a message."""

    def click_url(self, message_id: UUID) -> str: ...

    def unsubscribe_url(self, message_id: UUID) -> str: ...

    def ack_token(self, attempt_id: UUID) -> str: ...


class Delivery:
    def __init__(
        self,
        engine: Engine,
        channels: Mapping[str, Channel],
        links: Links,
        hash_address: AddressHasher,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._channels = channels
        self._links = links
        self._hash_address = hash_address
        self._monotonic = monotonic

    # A thread that is told to stop in mid-send would leave a message that was sent without its record.
    @activity.defn(no_thread_cancel_exception=True)
    def advance(self, order: MessageOrder) -> NextStep:
        """Take one message one step further, on the channel whose queue this is."""
        channel = self._channels.get(order.channel)
        not_ready_for = self._prepare(channel)
        # The hand-over limit counts from here: a pause relies on it.
        started = self._monotonic()
        with transaction(self._engine) as session:
            decision = decide(
                session, order.message_id, self._hash_address, send_on=order.channel, not_ready_for=not_ready_for
            )
        if decision is not None and decision.claim is not None and channel is not None:
            decision = self._carry_out(decision.claim, channel, started) or self._decide(order)
        return _next_step(decision)

    def _decide(self, order: MessageOrder) -> Decision | None:
        with transaction(self._engine) as session:
            return decide(session, order.message_id, self._hash_address)

    def _prepare(self, channel: Channel | None) -> timedelta | None:
        """All that is slow, before the claim. Not None: leave the channel alone for so long."""
        if channel is None:
            return PREPARE_RETRY
        try:
            channel.prepare()
        except (ProviderBusyError, NotPermittedError) as error:
            log.warning("channel_not_ready", channel=channel.name, code=error.code, text=error.text)
            asked = getattr(error, "retry_after", None)
            return asked_for(asked) if asked else PREPARE_RETRY
        return None

    def _carry_out(self, claim: Claim, channel: Channel, started: float) -> Decision | None:
        """What comes next, where the record alone says it."""
        outgoing = self._outgoing(claim)
        if self._monotonic() - started > HAND_OVER_LIMIT.total_seconds():
            outcome = Outcome(AttemptState.RELEASED, error_code="hand_over_limit", error_text="claimed too long ago")
        else:
            outcome = _hand_over(channel, outgoing, claim.address)
        return self._record(claim, outcome, give_up=started + RECORD_UNTIL.total_seconds())

    def _record(self, claim: Claim, outcome: Outcome, give_up: float) -> Decision | None:
        """What is known must not be lost to a database that is away for a moment: it would become `unknown`."""
        while True:
            try:
                with transaction(self._engine) as session:
                    return record(session, claim, outcome, self._hash_address)
            except SQLAlchemyError as error:
                if self._monotonic() > give_up:
                    raise
                log.warning("outcome_not_recorded_yet", attempt=str(claim.attempt_id), error=type(error).__name__)
                time.sleep(RECORD_AGAIN_SECONDS)

    def _outgoing(self, claim: Claim) -> Outgoing:
        text = claim.text
        return Outgoing(
            message_id=claim.attempt_id,
            dedupe_id=claim.message_id,
            title=text["title"],
            body=text["body"],
            data=text["data"],
            sent_at=claim.claimed_at,
            expires_at=claim.claimed_at + timedelta(seconds=claim.ttl_seconds),
            ttl_seconds=claim.ttl_seconds,
            ack_token=self._links.ack_token(claim.attempt_id),
            click_url=self._links.click_url(claim.message_id),
            unsubscribe_url=self._links.unsubscribe_url(claim.message_id),
        )


def _hand_over(channel: Channel, outgoing: Outgoing, address: str) -> Outcome:
    try:
        receipt = channel.send(outgoing, address)
    except OutcomeUnknownError as error:
        return Outcome(AttemptState.UNKNOWN, error_code=error.code, error_text=error.text)
    except ChannelError as error:
        return Outcome(
            AttemptState.FAILED,
            failure=error.failure,
            error_code=error.code,
            error_text=error.text,
            retry_after=getattr(error, "retry_after", None),
        )
    return Outcome(AttemptState.SENT, provider_id=receipt.provider_id)


def _next_step(decision: Decision | None) -> NextStep:
    if decision is None:
        return NextStep(kind=StepKind.DONE, state="erased")
    match decision.step:
        case Send(channel=channel):
            return NextStep(kind=StepKind.SEND, channel=channel)
        case Wait(until=until, reason=reason):
            seconds = _seconds(until, decision.now)
            return NextStep(kind=StepKind.WAIT, channel=decision.channel, seconds=seconds, reason=reason)
        case Done(state=state, reason=reason):
            return NextStep(kind=StepKind.DONE, state=state, reason=reason)


def _seconds(until: datetime | None, now: datetime) -> float | None:
    return None if until is None else max((until - now).total_seconds(), 0.0)
