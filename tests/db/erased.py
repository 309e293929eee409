"""Somebody who is erased, and where to look for what is left of them."""

from uuid import UUID

from db.erasure import Erased, erase
from db.tables import Base, Message
from domain.message import Recipient
from domain.tombstones import hash_in
from tests.db.scene import HASHER, Scene

NAME, TOKEN, LOCK = "person-1", "token-of-person-1", "lock-of-person-1"
THEM = Recipient(
    NAME,
    subject=LOCK,
    person_key=NAME,
    addresses={"fcm": (TOKEN,), "mqtt": ("phone-of-person-1",)},
    facts={"locks": [LOCK], "name": NAME},
    zone="Asia/Dhaka",
    language="bn",
    acknowledges=True,
)
OTHER = Recipient("person-2", subject="lock-2", person_key="person-2", addresses={"fcm": ("token-2",)})


def erase_them(scene: Scene, person: str = NAME) -> Erased:
    return erase(scene.engine, HASHER, person, actor="cli:ada")


def everything_stored(scene: Scene) -> str:
    """All columns of all rows, as text."""
    with scene.engine.connect() as connection:
        return "\n".join(str(connection.execute(table.select()).all()) for table in Base.metadata.sorted_tables)


def their_message(scene: Scene, run_id: UUID) -> Message:
    return next(scene.message(each) for each in scene.ids(run_id) if hash_in(scene.message(each).recipient_id))
