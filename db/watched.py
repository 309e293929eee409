"""The figures of a run that are held against its thresholds, counted from when it was last let go."""

from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from db.runs import RunView
from db.tables import Attempt, Message, Suppression
from domain.launching import Share, Watched
from domain.persons import PERSON
from domain.plan import Plan
from domain.states import HANDED_OVER, AttemptState, MessageState

_HAS_OUTCOME = [MessageState.SENT, MessageState.DELIVERED, MessageState.EXPIRED, MessageState.FAILED]
_NO_TRY = [AttemptState.SENDING, AttemptState.RELEASED]


def watched_figures(session: Session, run: RunView, plan: Plan) -> Watched:
    """So that a run that somebody resumes after a halt is not halted again by the same messages."""
    since = run.watched_from or run.created_at
    return Watched(
        failed=_failed(session, run, since),
        acknowledged=_acknowledged(session, run, plan, since),
        complained=_complained(session, run, since),
        canary_settled=run.canary_settled_at is not None and run.canary is not None,
    )


def _failed(session: Session, run: RunView, since: datetime) -> Share:
    tried = select(Attempt.id).where(
        Attempt.message_id == Message.id, Attempt.claimed_at >= since, Attempt.state.not_in(_NO_TRY)
    )
    failed, of = session.execute(
        select(func.count().filter(Message.state == MessageState.FAILED), func.count())
        .select_from(Message)
        .where(Message.run_id == run.id, Message.state.in_(_HAS_OUTCOME), tried.exists())
    ).one()
    return Share(failed, of)


def _acknowledged(session: Session, run: RunView, plan: Plan, since: datetime) -> Share:
    """Everybody of the same age, whether they answered at once or never: else the quick ones would flatter it."""
    run_time = func.clock_timestamp() - run.paused_total
    first = (
        select(Attempt.message_id, func.min(Attempt.deadline).label("deadline"))
        .where(Attempt.run_id == run.id, Attempt.state.in_(HANDED_OVER))
        .group_by(Attempt.message_id)
        .having(and_(func.min(Attempt.claimed_at) >= since, func.min(Attempt.deadline) + plan.later_rungs <= run_time))
        .subquery()
    )
    answered, of = session.execute(
        select(func.count().filter(Message.state == MessageState.DELIVERED), func.count())
        .join_from(Message, first, first.c.message_id == Message.id)
        .where(Message.acknowledges, Message.state.in_([MessageState.DELIVERED, MessageState.EXPIRED]))
    ).one()
    return Share(answered, of)


def _complained(session: Session, run: RunView, since: datetime) -> Share:
    """People, and where a campaign does not know who they are, addresses of the channel that has most of them."""
    by_channel = dict(
        session.execute(
            select(Suppression.channel, func.count())
            .where(Suppression.run_id == run.id, Suppression.source == "person", Suppression.since >= since)
            .group_by(Suppression.channel)
        ).all()
    )
    handed_over = select(func.count(func.distinct(Attempt.message_id))).where(
        Attempt.run_id == run.id, Attempt.claimed_at >= since, Attempt.state.in_(HANDED_OVER)
    )
    complained = by_channel.get(PERSON) or max(by_channel.values(), default=0)
    return Share(complained, session.scalar(handed_over) or 0)
