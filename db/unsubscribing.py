"""A person says no: in one transaction, under their lock, so that nothing more is claimed for them afterwards."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import locks
from db.attention import make_due
from db.suppressions import NewEntry, put_down
from db.tables import Message
from domain.hashing import AddressHasher
from domain.persons import PERSON
from domain.suppression import Reason, Source
from domain.tombstones import hash_in


def unsubscribe(session: Session, message_id: UUID, hash_address: AddressHasher) -> list[UUID]:
    """The person of a message, and all its addresses, get nothing more; may be repeated.

    Returns the messages that are due now, so that they end. Of an erased message the hash of the person is left, and
    is enough; one that is gone for good leaves nothing to be done.
    """
    person_key = session.scalar(select(Message.person_key).where(Message.id == message_id))
    if person_key is not None:
        locks.hold_person(session, person_key)
    found = session.execute(select(Message.run_id, Message.addresses).where(Message.id == message_id)).one_or_none()
    if found is None:
        return []
    hashes = [(PERSON, _person_hash(person_key, hash_address))] if person_key else []
    hashes += [
        (channel, hash_address(channel, address))
        for channel, addresses in sorted(found.addresses.items())
        for address in addresses
    ]
    for place, (channel, address_hash) in enumerate(hashes):
        # Complaints are counted by run: one person's is one.
        run_id = found.run_id if place == 0 else None
        put_down(session, NewEntry(channel, address_hash, Reason.UNSUBSCRIBED), Source.PERSON, run_id)
    return make_due(session, person_key) if person_key else []


def _person_hash(person_key: str, hash_address: AddressHasher) -> str:
    return hash_in(person_key) or hash_address(PERSON, person_key)
