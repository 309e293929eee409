"""The messages of a run that ended as `unknown`, with all that is known of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.reports import is_named, reports_of
from db.runs import plan_of
from db.tables import Acknowledgement, Attempt, Click, Message
from domain.clicks import ClickClass
from domain.plan import Rung
from domain.reports import InReport, Report, standing
from domain.states import AttemptState, MessageState
from domain.verdicts import TryEvidence, Verdict, sentences


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class UnknownTry(_View):
    """One try of a message whose outcome nobody knows, or one beside it."""

    attempt_id: UUID
    """As it travelled: the provider may know it."""
    number: int
    channel: str
    state: AttemptState
    verdict: Verdict | None
    """One that was given before."""
    claimed_at: datetime
    error_code: str | None
    error_text: str | None
    provider_id: str | None
    repeated_as: str | None
    """What makes a repeated try one with the first, for provider or device; null: nothing does."""
    in_report: InReport
    acknowledgements: int
    said: tuple[str, ...]
    """The same in sentences."""


class UnknownMessage(_View):
    message_id: UUID
    recipient_id: str
    ended_at: datetime | None
    state_reason: str | None
    person_clicks: int
    """Clicks of a person: where the plan awaits none, they prove all the same that it arrived."""
    tries: tuple[UnknownTry, ...]


def list_unknown(
    session: Session, run_id: UUID, after: UUID | None = None, limit: int = 100, channel: str | None = None
) -> list[UnknownMessage]:
    """One page in the order of ids; `channel`: only those with a try there whose outcome is not known."""
    query = select(Message).where(Message.run_id == run_id, Message.state == MessageState.UNKNOWN)
    if after is not None:
        query = query.where(Message.id > after)
    if channel is not None:
        unknown_there = Attempt.channel == channel, Attempt.state == AttemptState.UNKNOWN
        query = query.where(select(Attempt.id).where(Attempt.message_id == Message.id, *unknown_there).exists())
    found = session.scalars(query.order_by(Message.id).limit(limit)).all()
    ids = [message.id for message in found]
    tries, clicks = _tries(session, run_id, ids), _person_clicks(session, ids)
    return [
        UnknownMessage(
            message_id=each.id,
            recipient_id=each.recipient_id,
            ended_at=each.ended_at,
            state_reason=each.state_reason,
            person_clicks=clicks[each.id],
            tries=tuple(tries[each.id]),
        )
        for each in found
    ]


def _tries(session: Session, run_id: UUID, message_ids: Sequence[UUID]) -> dict[UUID, list[UnknownTry]]:
    reports = reports_of(session, run_id)
    rungs = {rung.channel: rung for rung in plan_of(session, run_id).ladder}
    came = (
        select(func.count())
        .select_from(Acknowledgement)
        .where(Acknowledgement.attempt_id == Attempt.id)
        .correlate(Attempt)
        .scalar_subquery()
    )
    query = select(Attempt, is_named(), came).where(Attempt.message_id.in_(message_ids))
    tries: dict[UUID, list[UnknownTry]] = defaultdict(list)
    for attempt, named, acknowledgements in session.execute(query.order_by(Attempt.message_id, Attempt.number)):
        report, rung = reports.get(attempt.channel), rungs.get(attempt.channel)
        tries[attempt.message_id].append(_try(attempt, report, rung, named=named, acknowledgements=acknowledgements))
    return tries


def _try(
    attempt: Attempt, report: Report | None, rung: Rung | None, *, named: bool, acknowledgements: int
) -> UnknownTry:
    evidence = TryEvidence(
        channel=attempt.channel,
        repeated_as=rung.repeated_as if rung else None,
        in_report=standing(report, named=named, claimed_at=attempt.claimed_at, provider_id=attempt.provider_id),
        answers=acknowledgements,
    )
    return UnknownTry(
        attempt_id=attempt.id,
        number=attempt.number,
        channel=attempt.channel,
        state=AttemptState(attempt.state),
        verdict=Verdict(attempt.verdict) if attempt.verdict else None,
        claimed_at=attempt.claimed_at,
        error_code=attempt.error_code,
        error_text=attempt.error_text,
        provider_id=attempt.provider_id,
        repeated_as=evidence.repeated_as,
        in_report=evidence.in_report,
        acknowledgements=acknowledgements,
        said=sentences(evidence) if attempt.state == AttemptState.UNKNOWN else (),
    )


def _person_clicks(session: Session, message_ids: Sequence[UUID]) -> Counter[UUID]:
    of_people = Click.message_id.in_(message_ids), Click.click_class == ClickClass.PERSON
    query = select(Click.message_id, func.count()).where(*of_people).group_by(Click.message_id)
    return Counter({message_id: clicks for message_id, clicks in session.execute(query) if message_id})
