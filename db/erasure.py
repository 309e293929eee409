"""A person's erasure: what names them goes, what each ledger needs to balance stays as a tombstone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, and_, exists, func, null, or_, select, update
from sqlalchemy.orm import Session

from db import locks
from db.audit import write_audit
from db.engine import transaction
from db.remains import bury, forget_elsewhere
from db.situation import attempt_facts, message_facts
from db.tables import Attempt, AudienceRow, Message, Run
from domain.addresses import checked_person
from domain.erasure import end_of_erased
from domain.hashing import AddressHasher
from domain.ladder import UNSETTLED_FOR
from domain.persons import PERSON
from domain.plan import Plan
from domain.problems import ProblemError
from domain.states import AttemptState

LOOK_EVERY_SECONDS = 0.05


class AudienceBeingTakenError(ProblemError):
    def __init__(self, run: str) -> None:
        super().__init__(
            f"the audience of {run} is being taken just now, and this person is in it: nothing was erased; try again "
            "when it is taken, or cancel that run"
        )


@dataclass(slots=True)
class Erased:
    person_hash: str
    messages: int = 0
    """That became tombstones."""
    ended: list[UUID] = field(default_factory=list)
    """Those of them that were under way: their workflows should hear of it."""
    devices: int = 0
    """That have no owner any more."""


def of_person(person: str) -> ColumnElement[bool]:
    """Their messages: by the key that all campaigns share, or by the recipient's id where the source gave no key."""
    ownerless = and_(Message.person_key.is_(None), Message.recipient_id == person)
    return or_(Message.person_key == person, ownerless)


def erase(engine: Engine, hash_address: AddressHasher, person: str, *, actor: str) -> Erased:
    """Suppressions and consents stay, as hashes. May be repeated.

    A send in flight is waited for, until its outcome is recorded or it counts as unknown (16 s). Raises
    BadAddressError and AudienceBeingTakenError.
    """
    erased = Erased(hash_address(PERSON, checked_person(person)))
    while True:
        with transaction(engine) as session:
            _refuse_while_taken(session, person)
            if _erase_what_rests(session, hash_address, person, erased):
                erased.devices = forget_elsewhere(session, person)
                counts = {"messages": erased.messages, "ended": len(erased.ended), "devices": erased.devices}
                write_audit(session, actor, "erase", None, person=erased.person_hash, **counts)
                return erased
        time.sleep(LOOK_EVERY_SECONDS)


def _refuse_while_taken(session: Session, person: str) -> None:
    """A snapshot under way may store a page twice, and counts its rows at the end: nobody can be taken out of it."""
    theirs = or_(AudienceRow.recipient_id == person, AudienceRow.row["person_key"].astext == person)
    run = session.scalar(
        select(Run.workflow_id)
        .where(Run.targeted.is_(None), exists().where(AudienceRow.run_id == Run.id, theirs))
        .limit(1)
    )
    if run is not None:
        raise AudienceBeingTakenError(run)


def _erase_what_rests(session: Session, hash_address: AddressHasher, person: str, erased: Erased) -> bool:
    """Whether that was all of it; else a send is in flight, and its record must find its message as it was."""
    _take_locks(session, person)
    messages = session.scalars(
        select(Message).where(of_person(person)).order_by(Message.id).execution_options(populate_existing=True)
    ).all()
    now = session.scalars(select(func.clock_timestamp())).one()
    _give_up_dead_tries(session, messages, now)
    attempts = _attempts(session, messages)
    resting = [each for each in messages if not _in_flight(attempts.get(each.id, []))]
    for message in resting:
        if message.ended_at is None:
            _end(session, message, attempts.get(message.id, []), now)
            erased.ended.append(message.id)
    bury(session, hash_address, person, resting)
    erased.messages += len(resting)
    return len(resting) == len(messages)


def _take_locks(session: Session, person: str) -> None:
    """In the one order: runs, person, messages. Acknowledgements and records lock their message alone."""
    unfinished = select(Message.run_id).where(of_person(person), Message.ended_at.is_(None)).distinct()
    for run_id in sorted(session.scalars(unfinished)):
        locks.share_run(session, run_id)
    locks.hold_person(session, person)
    for message_id in sorted(session.scalars(select(Message.id).where(of_person(person)))):
        locks.hold_message(session, message_id)


def _attempts(session: Session, messages: Sequence[Message]) -> dict[UUID, list[Attempt]]:
    query = select(Attempt).where(Attempt.message_id.in_([each.id for each in messages])).order_by(Attempt.number)
    found: dict[UUID, list[Attempt]] = {}
    for attempt in session.scalars(query.execution_options(populate_existing=True)):
        found.setdefault(attempt.message_id, []).append(attempt)
    return found


def _in_flight(attempts: Sequence[Attempt]) -> bool:
    return any(attempt.state == AttemptState.SENDING for attempt in attempts)


def _give_up_dead_tries(session: Session, messages: Sequence[Message], now: datetime) -> None:
    """As a decision does: a try that is still `sending` so late has died before its record."""
    session.execute(
        update(Attempt)
        .where(
            Attempt.message_id.in_([each.id for each in messages]),
            Attempt.state == AttemptState.SENDING,
            Attempt.claimed_at <= now - UNSETTLED_FOR,
        )
        .values(state=AttemptState.UNKNOWN, error_code="worker_died", settled_at=now)
    )


def _end(session: Session, message: Message, attempts: Sequence[Attempt], now: datetime) -> None:
    plan = Plan.model_validate(session.scalars(select(Run.plan).where(Run.id == message.run_id)).one())
    done = end_of_erased(message_facts(message, tuple(map(attempt_facts, attempts)), plan))
    has_workflow = message.due_at is not None or message.hold_reason is not None
    session.execute(
        update(Message)
        .where(Message.id == message.id, Message.state == message.state, Message.ended_at.is_(None))
        .values(
            state=done.state,
            state_reason=done.reason,
            ended_at=now,
            hold_reason=null(),
            # Due until its workflow has been told.
            due_at=now if has_workflow else null(),
        )
    )
