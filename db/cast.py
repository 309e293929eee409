"""Everybody in a run's snapshot with what the ladder wants to know of them, for a rehearsal."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.situation import look
from db.tables import Message
from domain.hashing import AddressHasher
from domain.ids import message_id_of
from domain.rehearsal import Role


def read_cast(session: Session, run_id: UUID, hash_address: AddressHasher, drawn_as: UUID) -> list[Role]:
    """By position. Their messages have the ids of the run `drawn_as`: jitter is drawn from them."""
    whose = select(Message.id, Message.recipient_id, Message.person_key).where(Message.run_id == run_id)
    cast: list[Role] = []
    for message_id, recipient_id, person_key in session.execute(whose.order_by(Message.position)).all():
        situation = look(session, message_id, hash_address)
        if situation is None:
            raise RuntimeError(f"message {message_id} of a rehearsal vanished")
        message = replace(situation.message, id=message_id_of(drawn_as, recipient_id))
        cast.append(Role(recipient_id, message, situation.person, person_key))
        session.expunge_all()
    return cast
