"""Runs whose outcomes are known, written straight into the tables: everybody has one lock of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from db.engine import transaction
from db.runs import open_run
from db.tables import Attempt, Message, Outcome, Run
from domain.ids import run_workflow_id
from domain.outcomes import Arm
from domain.outcomes import Outcome as Result
from domain.states import AttemptState, MessageState, RunState
from tests.api.rows import PLAN

FIRST_MONDAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Course:
    """What came of a run."""

    sent: int = 40
    held_out: int = 10
    failed: int = 2
    clicked: int = 8
    helped: int = 24
    """Of the sent."""
    helped_anyway: int = 2
    """Of the held out."""
    awaited: int = 0
    """Of the sent, the last ones: their windows are still open."""
    state: RunState = RunState.CLOSED


def slot_of(week: int) -> str:
    return f"{FIRST_MONDAY + week * WEEK:%Y-%m-%dT%H:%M:%SZ}"


def add_measured_run(
    engine: Engine, week: int = 0, course: Course | None = None, *, slot: str | None = None, campaign: str | None = None
) -> UUID:
    """A run of the `week`-th week of 2026, and all that is known of it."""
    course = course or Course()
    began = FIRST_MONDAY + week * WEEK
    with transaction(engine) as session:
        run_id = _add_run(session, began, course, campaign or "lock_battery", slot or slot_of(week))
        people = list(_people(run_id, began, course))
        if people:
            session.execute(insert(Message), [each.message() for each in people])
            session.execute(insert(Outcome), [each.outcome() for each in people])
        tried = [each.attempt() for each in people if not each.held_out]
        if tried:
            session.execute(insert(Attempt), tried)
    return run_id


def _add_run(session: Session, began: datetime, course: Course, campaign: str, slot: str) -> UUID:
    measured = {"measured_for_seconds": WEEK.total_seconds(), "holdout_percent": 10 if course.held_out else 0}
    run = open_run(
        session,
        workflow_id=run_workflow_id(campaign, slot),
        campaign=campaign,
        slot=slot,
        parameters={},
        plan=PLAN.model_copy(update=measured),
    )
    row = session.get_one(Run, run.id)
    row.created_at = row.started_at = began
    row.state, row.targeted = course.state, course.sent + course.failed + course.held_out
    row.closed_at = began + WEEK if course.state is RunState.CLOSED else None
    return run.id


@dataclass(frozen=True)
class _Person:
    run_id: UUID
    began: datetime
    message_id: UUID
    number: int
    state: MessageState
    clicked: bool
    result: Result | None

    @property
    def held_out(self) -> bool:
        return self.state is MessageState.HELD_OUT

    def message(self) -> dict[str, object]:
        return {
            "id": self.message_id,
            "run_id": self.run_id,
            "position": self.number,
            "recipient_id": f"person-{self.number}",
            "facts": {},
            "addresses": {},
            "held_out": self.held_out,
            "state": self.state,
            "ended_at": self.began,
            "clicked_at": self.began if self.clicked else None,
        }

    def attempt(self) -> dict[str, object]:
        return {
            "id": uuid4(),
            "message_id": self.message_id,
            "run_id": self.run_id,
            "number": 1,
            "channel": "fcm",
            "address": f"token-{self.number}",
            "state": AttemptState.SENT if self.state is MessageState.SENT else AttemptState.FAILED,
            "claimed_at": self.began,
            "settled_at": self.began,
        }

    def outcome(self) -> dict[str, object]:
        return {
            "run_id": self.run_id,
            "subject": f"lock-{self.number}",
            "before_at": self.began - 9 * WEEK,
            "before_readable": True,
            "group_key": f"person-{self.number}",
            "arm": Arm.HELD_OUT if self.held_out else Arm.TREATED,
            "sent": self.state is MessageState.SENT,
            "opens_at": self.began,
            "closes_at": self.began + WEEK,
            "read_at": self.began + WEEK if self.result else None,
            "outcome": self.result,
        }


def _people(run_id: UUID, began: datetime, course: Course) -> Iterator[_Person]:
    """First those who were sent something, then the failed, then the held out."""
    counts = {
        MessageState.SENT: course.sent,
        MessageState.FAILED: course.failed,
        MessageState.HELD_OUT: course.held_out,
    }
    helped = {MessageState.SENT: course.helped, MessageState.FAILED: 0, MessageState.HELD_OUT: course.helped_anyway}
    number = 0
    for state, count in counts.items():
        for place in range(count):
            number += 1
            result = Result.HELPED if place < helped[state] else Result.NOT_HELPED
            awaited = state is MessageState.SENT and place >= count - course.awaited
            clicked = state is MessageState.SENT and place < course.clicked
            yield _Person(run_id, began, uuid4(), number, state, clicked, None if awaited else result)
