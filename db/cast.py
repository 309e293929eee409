"""Everybody in a run's snapshot with what the ladder wants to know of them, for a rehearsal."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.persons import look_up_people
from db.situation import message_facts
from db.tables import Message
from domain.hashing import AddressHasher
from domain.ids import message_id_of
from domain.persons import PersonFacts
from domain.plan import Plan
from domain.rehearsal import Role

PAGE = 1000


def read_cast(
    session: Session, run_id: UUID, hash_address: AddressHasher, *, plan: Plan, at: datetime, drawn_as: UUID
) -> list[Role]:
    """By position, as they stand `at` that time. Their messages have the ids, and so the jitter, of `drawn_as`."""
    cast: list[Role] = []
    of_run = select(Message).where(Message.run_id == run_id).order_by(Message.position).limit(PAGE)
    while page := session.scalars(of_run.where(Message.position > len(cast))).all():
        people = look_up_people(session, page, plan, at, hash_address)
        for message, person in zip(page, people, strict=True):
            facts = replace(message_facts(message, (), plan), id=message_id_of(drawn_as, message.recipient_id))
            cast.append(Role(message.recipient_id, facts, _until(at, person), message.person_key))
        session.expunge_all()
    return cast


def _until(at: datetime, person: PersonFacts) -> PersonFacts:
    """What was sent later did not count yet."""
    if not person.recent_sends or person.recent_sends[-1].at <= at:
        return person
    return replace(person, recent_sends=tuple(send for send in person.recent_sends if send.at <= at))
