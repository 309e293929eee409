"""What a resume finds: who is overdue by its clock, and what would become of them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, ScalarSelect, and_, case, func, literal, or_, select, update
from sqlalchemy.orm import Session

from db.runs import RunView, get_run, plan_of
from db.situation import attempt_facts, message_facts
from db.tables import Attempt, Message
from domain.clock import ClockPolicy, RunClock
from domain.ladder import Done, MessageFacts, RunFacts, next_step
from domain.persons import PersonFacts
from domain.plan import Plan
from domain.problems import WrongStateError
from domain.states import HANDED_OVER, AttemptState, Awaited, MessageState, RunState

OVERDUE_AT_RESUME = "overdue_at_resume"
_PAGE = 500
_SHIFT, _KEEP, _ = ClockPolicy
_ANYBODY = PersonFacts(is_person=False)
_AWAITED = and_(Message.state == MessageState.SENT, Message.ended_at.is_(None))


class PolicyPreview(BaseModel):
    """What a resume now would do to those that were sent and have not answered."""

    model_config = ConfigDict(frozen=True)

    policy: ClockPolicy
    awaiting: int
    """Go on waiting: their deadline is still ahead."""
    next_rung: int
    """Overdue, and there is a next rung for them."""
    ended: int
    """Overdue, and it would be the end: no rung is left, or it is too late for one, or the policy says so."""


class ResumePreview(BaseModel):
    model_config = ConfigDict(frozen=True)

    at: datetime
    paused_at: datetime
    unsent: int
    """Not handed over yet; they go on alike under each policy."""
    in_flight: int
    """In a provider's hands, without an outcome yet."""
    policies: list[PolicyPreview]


def preview_resume(session: Session, run_id: UUID) -> ResumePreview:
    """As it stands now; changes nothing and keeps nobody waiting. Raises WrongStateError."""
    run = get_run(session, run_id)
    if run.state is not RunState.PAUSED or run.paused_at is None:
        raise WrongStateError("preview the resume of", run.state, "only a paused run can be resumed")
    plan = plan_of(session, run_id)
    now = session.scalars(select(func.clock_timestamp())).one()
    unfinished = _unfinished(session, run_id)
    fates = _fates(session, run, plan, now)
    return ResumePreview(
        at=now,
        paused_at=run.paused_at,
        unsent=unfinished[MessageState.PLANNED],
        in_flight=unfinished[MessageState.SENDING],
        policies=[_preview(policy, fates[policy], unfinished[MessageState.SENT]) for policy in ClockPolicy],
    )


def count_sent(session: Session, run_id: UUID, run_time: datetime) -> tuple[int, int]:
    """(awaiting, overdue) of those that were sent and have not ended."""
    overdue = func.count().filter(_is_overdue(run_time))
    of_run = select(func.count(), overdue).select_from(Message).where(Message.run_id == run_id, _AWAITED)
    sent, late = session.execute(of_run).one()
    return sent - late, late


def expire_overdue(session: Session, run: RunView, now: datetime) -> int:
    """End whoever is overdue, as the ladder's `ending` does; their workflows stay due, so that Sweep tells them."""
    plan = plan_of(session, run.id)
    if not plan.awaits:
        return 0
    expires = and_(Message.acknowledges, literal(Awaited.ACKNOWLEDGEMENT in plan.awaits))
    ended = session.execute(
        update(Message)
        .where(Message.run_id == run.id, _AWAITED, _is_overdue(now - run.paused_total))
        .values(
            state=case((expires, MessageState.EXPIRED), else_=MessageState.SENT),
            state_reason=OVERDUE_AT_RESUME,
            ended_at=now,
            due_at=now,
            nudged_at=None,
        )
        .execution_options(synchronize_session=False)
    )
    just_expired = select(Message.id).where(
        Message.run_id == run.id, Message.state == MessageState.EXPIRED, Message.ended_at == now
    )
    session.execute(
        update(Attempt)
        .where(Attempt.run_id == run.id, Attempt.state == AttemptState.SENT, Attempt.message_id.in_(just_expired))
        .values(state=AttemptState.EXPIRED)
        .execution_options(synchronize_session=False)
    )
    return ended.rowcount  # type: ignore[attr-defined,no-any-return] # a DML result has it


def _is_overdue(run_time: datetime) -> ColumnElement[bool]:
    """By the newest attempt that a provider took, as the ladder looks at it."""
    return or_(_newest_deadline() <= run_time, _newest_deadline().is_(None))


def _newest_deadline() -> ScalarSelect[datetime | None]:
    return (
        select(Attempt.deadline)
        .where(Attempt.message_id == Message.id, Attempt.state.in_(HANDED_OVER))
        .order_by(Attempt.number.desc())
        .limit(1)
        .correlate(Message)
        .scalar_subquery()
    )


def _unfinished(session: Session, run_id: UUID) -> Counter[str]:
    counted = select(Message.state, func.count()).where(Message.run_id == run_id, Message.ended_at.is_(None))
    return Counter(dict(session.execute(counted.group_by(Message.state)).all()))


def _fates(session: Session, run: RunView, plan: Plan, now: datetime) -> dict[ClockPolicy, Counter[str]]:
    """Of those that are overdue where the deadlines stand; where they shift, only who was overdue at the pause is."""
    clock = RunClock(run.paused_total, run.paused_at)
    paused = RunFacts(RunState.RUNNING, run.started_at or run.created_at, clock, run.released_up_to)
    shifted, kept = (replace(paused, clock=clock.resumed(now, policy)) for policy in (_SHIFT, _KEEP))
    fates: dict[ClockPolicy, Counter[str]] = defaultdict(Counter)
    for message in _overdue_messages(session, run, plan, kept.clock.run_time(now)):
        fates[ClockPolicy.EXPIRE_OVERDUE]["ended"] += 1
        fates[_KEEP][_fate(message, plan, kept, now)] += 1
        deadline = message.handed_over.deadline if message.handed_over else None
        if deadline is None or deadline <= shifted.clock.run_time(now):
            fates[_SHIFT][_fate(message, plan, shifted, now)] += 1
    return fates


def _fate(message: MessageFacts, plan: Plan, run: RunFacts, now: datetime) -> str:
    # Only whether there is a next rung is asked here: what else may hold a person's message back is not looked at.
    return "ended" if isinstance(next_step(message, plan, run, _ANYBODY, now), Done) else "next_rung"


def _preview(policy: ClockPolicy, fates: Counter[str], sent: int) -> PolicyPreview:
    moved = fates["next_rung"] + fates["ended"]
    return PolicyPreview(policy=policy, awaiting=sent - moved, next_rung=fates["next_rung"], ended=fates["ended"])


def _overdue_messages(session: Session, run: RunView, plan: Plan, run_time: datetime) -> Iterator[MessageFacts]:
    after: UUID | None = None
    while page := _page(session, run.id, run_time, after):
        attempts = _attempts(session, [message.id for message in page])
        for message in page:
            tried = tuple(attempt_facts(attempt) for attempt in attempts[message.id])
            yield message_facts(message, tried, plan)
        after = page[-1].id
        session.expunge_all()


def _page(session: Session, run_id: UUID, run_time: datetime, after: UUID | None) -> Sequence[Message]:
    overdue = select(Message).where(Message.run_id == run_id, _AWAITED, _is_overdue(run_time))
    further = overdue if after is None else overdue.where(Message.id > after)
    return session.scalars(further.order_by(Message.id).limit(_PAGE)).all()


def _attempts(session: Session, message_ids: Sequence[UUID]) -> dict[UUID, list[Attempt]]:
    found: dict[UUID, list[Attempt]] = defaultdict(list)
    of_page = select(Attempt).where(Attempt.message_id.in_(message_ids)).order_by(Attempt.number)
    for attempt in session.scalars(of_page):
        found[attempt.message_id].append(attempt)
    return found
