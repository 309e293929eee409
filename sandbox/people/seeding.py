"""Puts an invented world where the campaign looks for it: the customer's two tables, and our devices."""

from __future__ import annotations  # the stubs' names exist for mypy alone

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, Engine, MetaData, Table, Text, inspect
from sqlalchemy.dialects.postgresql import insert

from db.engine import transaction
from db.tables import Device
from sandbox.dynamodb import KEY, put_locks
from sandbox.people.world import World

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_INVENTED = "Invented by Drumbeat's sandbox, which replaces it at will."


class NotInventedError(Exception):
    """There is a table `lock_user_mapping` that the sandbox has not made: it is somebody's, and stays as it is."""


def seed_dynamodb(world: World, client: DynamoDBClient, table: str, field: str) -> None:
    """Into the table, which exists: the locks, with their last check in `field`; `model` is there to be left alone."""
    put_locks(
        client,
        table,
        (
            {KEY: lock.id, "model": "invented"} | ({} if lock.last_check is None else {field: lock.last_check})
            for lock in world.locks
        ),
    )


def seed_mapping(world: World, engine: Engine) -> None:
    """Make `lock_user_mapping` anew in the demo's own database. Raises NotInventedError."""
    mapping = Table(
        "lock_user_mapping",
        MetaData(schema="public"),
        Column("lock_id", Text, nullable=False, index=True),
        Column("user_id", Text, nullable=False),
        Column("fcm_id", Text),
        comment=_INVENTED,
    )
    with engine.begin() as connection:
        _drop_invented(mapping, connection)
        mapping.create(connection)
        if world.mappings:
            connection.execute(insert(mapping), [asdict(row) for row in world.mappings])


def _drop_invented(mapping: Table, connection: Connection) -> None:
    found = inspect(connection)
    if not found.has_table(mapping.name, mapping.schema):
        return
    if found.get_table_comment(mapping.name, mapping.schema)["text"] != _INVENTED:
        raise NotInventedError(f"{mapping} is not the sandbox's own: give the demo a database of its own")
    mapping.drop(connection)


def seed_devices(world: World, engine: Engine) -> None:
    """Into our table; a device that is there already becomes the world's."""
    if not world.devices:
        return
    rows = insert(Device)
    taken_over = {name: rows.excluded[name] for name in ("owner_id", "platform", "fcm_token", "mqtt_client_id")}
    with transaction(engine) as session:
        session.execute(
            rows.on_conflict_do_update(index_elements=[Device.id], set_=taken_over),
            [
                {
                    "id": device.id,
                    "owner_id": device.owner_id,
                    "platform": "android",
                    "fcm_token": device.fcm_token,
                    "mqtt_client_id": device.mqtt_client_id,
                }
                for device in world.devices
            ],
        )
