"""An operator's verdict on a message that ended as `unknown`."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from psycopg.errors import LockNotAvailable
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db import locks
from db.audit import write_audit
from db.engine import transaction
from db.outcomes import MOVE_MESSAGE
from db.runs import get_run
from db.situation import Situation, look
from db.sweeping import OVERDUE_BY
from db.tables import Attempt, Message, Run
from domain.consequences import judged
from domain.hashing import AddressHasher
from domain.ladder import Done, MessageFacts, next_step
from domain.problems import (
    NoSuchMessageError,
    NothingLeftToTryError,
    NotUnknownError,
    RunIsBusyError,
    WrongStateError,
)
from domain.states import AttemptState, HoldReason, MessageState, RunState
from domain.verdicts import Verdict

_SENDS_NO_MORE = {RunState.CANCELLED, RunState.FAILED}


class Judged(BaseModel):
    model_config = ConfigDict(frozen=True)

    message_id: UUID
    verdict: Verdict
    state: MessageState
    """Where the message stands now."""


def judge(
    engine: Engine, hash_address: AddressHasher, run_id: UUID, message_id: UUID, verdict: Verdict, *, actor: str
) -> Judged:
    """`retry` makes it due at once, also in a run that had ended; whoever calls this wakes Sweep, which sends it.

    Raises NoSuchMessageError, NotUnknownError, NothingLeftToTryError, WrongStateError and RunIsBusyError.
    """
    try:
        with transaction(engine) as session:
            return _judge(session, hash_address, run_id, message_id, verdict, actor=actor)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise RunIsBusyError("judge") from error
        raise


def _judge(
    session: Session, hash_address: AddressHasher, run_id: UUID, message_id: UUID, verdict: Verdict, *, actor: str
) -> Judged:
    situation = _hold(session, hash_address, run_id, message_id)
    message = situation.message
    if message.state is not MessageState.UNKNOWN:
        raise NotUnknownError(message_id, message.state)
    after = judged(message, verdict)
    if verdict is Verdict.RETRY:
        _check_may_go_out(situation, after)
        _reopen(session, run_id)
    _note(session, message_id, verdict)
    values = _due(situation) if verdict is Verdict.RETRY else {}
    moved_from = {"of_message": message_id, "old_state": message.state}
    session.execute(MOVE_MESSAGE, {**moved_from, "state": after.state, **values})
    write_audit(session, actor, "judge", run_id, verdict=verdict, message_id=str(message_id), state=after.state)
    return Judged(message_id=message_id, verdict=verdict, state=after.state)


def _hold(session: Session, hash_address: AddressHasher, run_id: UUID, message_id: UUID) -> Situation:
    """Lock, then look."""
    get_run(session, run_id)
    of_run = Message.id == message_id, Message.run_id == run_id
    whose = session.execute(select(Message.person_key).where(*of_run)).one_or_none()
    if whose is None:
        raise NoSuchMessageError(str(message_id))
    locks.hold_to_decide(session, run_id, whose.person_key, message_id)
    # The row too: a run that comes to its end just now is moved on without the advisory lock.
    session.execute(select(Run.id).where(Run.id == run_id).with_for_update(key_share=True))
    situation = look(session, message_id, hash_address)
    if situation is None:
        raise NoSuchMessageError(str(message_id))
    return situation


def _check_may_go_out(situation: Situation, after: MessageFacts) -> None:
    """What would end again at once is refused before anything is changed."""
    if situation.run.state in _SENDS_NO_MORE:
        raise WrongStateError("try a message again in", situation.run.state, "it sends nothing any more")
    sending = replace(situation.run, state=RunState.RUNNING)
    if isinstance(next_step(after, situation.plan, sending, situation.person, situation.now), Done):
        raise NothingLeftToTryError(after.id)


def _reopen(session: Session, run_id: UUID) -> None:
    """A run that had ended has something to send again; Sweep gives it a workflow."""
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.state.in_([RunState.COMPLETED, RunState.CLOSED]))
        .values(state=RunState.RUNNING, completed_at=None, closed_at=None)
    )


def _note(session: Session, message_id: UUID, verdict: Verdict) -> None:
    values: dict[str, Any] = {"verdict": verdict}
    if verdict is Verdict.WAS_SENT:
        values["state"] = AttemptState.SENT
    unknown = Attempt.message_id == message_id, Attempt.state == AttemptState.UNKNOWN
    session.execute(update(Attempt).where(*unknown).values(**values))


def _due(situation: Situation) -> dict[str, Any]:
    """Its workflow has ended, so it is Sweep's: overdue from the start, or held until the run is resumed."""
    paused = situation.run.state is RunState.PAUSED
    return {
        "ended_at": None,
        "state_reason": None,
        "due_at": None if paused else situation.now - OVERDUE_BY,
        "hold_reason": HoldReason.PAUSED if paused else None,
        "nudged_at": None,
    }
