"""What a run under way asks of the database: its batches, how it stands, and changes that were typed into Temporal."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.orders import BatchOrder, ControlOrder, MessageOrder, OpenedBatch, Survey, SurveyOrder
from campaigns.registry import Registry
from db import control, ledger
from db.batches import count_backlog, next_batch, open_batch
from db.engine import transaction
from db.launching import look_after_launch
from db.runs import RunView, get_run, move_on, plan_of
from domain.clock import UnknownClockPolicyError, clock_policy
from domain.message import Message, Recipient
from domain.plan import Plan
from domain.problems import RunIsBusyError, WrongStateError
from domain.states import RUNS_THAT_SEND

SOONEST_LOOK = timedelta(seconds=2)
LATEST_LOOK = timedelta(seconds=60)
JUST_AFTER = timedelta(milliseconds=50)
"""Of a moment that is known, lest a timer that is a little fast come before it."""


class Running:
    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry

    @activity.defn
    def open_batch(self, order: BatchOrder) -> OpenedBatch:
        """Compose a page's texts and make its messages due; none while the run does not send."""
        campaign = self._registry[order.campaign]
        with transaction(self._engine) as session:
            parameters = campaign.parameters.model_validate(get_run(session, order.run_id).parameters)

            def compose(recipient: Recipient) -> Message:
                return campaign.message(recipient, parameters)

            opened = open_batch(session, order.run_id, order.number, compose)
        messages = [MessageOrder(message_id=each.message_id, channel=each.channel) for each in opened]
        return OpenedBatch(messages=messages)

    @activity.defn
    def survey_run(self, order: SurveyOrder) -> Survey:
        """Move the run's state on, and say what its workflow may do next and when to look again (2 to 60 s)."""
        with transaction(self._engine) as session:
            move_on(session, order.run_id)
        moment = look_after_launch(self._engine, order.run_id)
        # Apart from the counting, which takes long in a large run: a pause must not wait for it.
        with transaction(self._engine) as session:
            run = get_run(session, order.run_id)
            state = run.state
            stand = ledger.progress(session, order.run_id)
            may_open = order.may_open and state in RUNS_THAT_SEND
            plan = plan_of(session, order.run_id)
            full = may_open and _is_full(session, order.run_id, plan)
            under_way = order.batches_under_way
            batch = next_batch(session, order.run_id, plan.batch_size, under_way) if may_open and not full else None
            now = session.scalars(select(func.clock_timestamp())).one()
        return Survey(
            state=state,
            over=run.closed_at is not None,
            next_batch=batch,
            # Nobody tells a run that there is room again: a pile that has gone must not be noticed a minute later.
            look_again_seconds=(SOONEST_LOOK if full else _look_again(run, now, moment)).total_seconds(),
            targeted=run.targeted,
            states=stand.states,
            held=stand.held,
            attempts=stand.attempts,
            handed_over=stand.handed_over,
            awaiting=stand.awaiting,
            clicked=stand.people_clicked,
        )

    @activity.defn
    def change_run(self, order: ControlOrder) -> None:
        """A pause, resume or cancel that came as a signal: the same as over HTTP."""
        try:
            if order.action == "pause":
                control.pause(self._engine, order.run_id, order.actor, order.reason or "operator")
            elif order.action == "resume":
                control.resume(self._engine, order.run_id, order.actor, clock_policy(order.policy))
            elif order.action == "cancel":
                control.cancel(self._engine, order.run_id, order.actor)
            else:
                raise ApplicationError(f"a run cannot {order.action!r}", non_retryable=True)
        except (WrongStateError, UnknownClockPolicyError) as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from error
        except RunIsBusyError as error:
            raise ApplicationError(str(error), type="RunIsBusyError") from error


def _is_full(session: Session, run_id: UUID, plan: Plan) -> bool:
    """A slow channel makes no pile: no further batch while as many messages wait for their hand-over."""
    return count_backlog(session, run_id) >= plan.batch_size * plan.batches_at_once


def _look_again(run: RunView, now: datetime, moment: datetime | None) -> timedelta:
    """Soon while a run is young, seldom when it has lasted for hours; in any case at a moment that is known."""
    age = now.astimezone(UTC) - run.created_at
    usual = min(max(age / 30, SOONEST_LOOK), LATEST_LOOK)
    return usual if moment is None else min(usual, max(moment - now, timedelta()) + JUST_AFTER)
