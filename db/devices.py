"""Our registry of devices, as far as an audience needs it."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Device
from domain.audience import united_addresses


def addresses_by_owner(session: Session, owner_ids: Iterable[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """By person, then by channel, what their registered devices can be reached at."""
    addresses: dict[str, dict[str, tuple[str, ...]]] = {}
    query = select(Device).where(Device.owner_id.in_(set(owner_ids))).order_by(Device.registered_at, Device.id)
    for device in session.scalars(query):
        own = {
            channel: (address,)
            for channel, address in (("fcm", device.fcm_token), ("mqtt", device.mqtt_client_id))
            if address
        }
        owner = device.owner_id or ""
        addresses[owner] = united_addresses([addresses.get(owner, {}), own])
    return addresses
