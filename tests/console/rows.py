"""The rows behind what the terminal shows."""

from uuid import UUID

from sqlalchemy import Engine, text

from db.engine import transaction
from db.tables import Run


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def state_of(engine: Engine, run_id: UUID) -> str:
    with transaction(engine) as session:
        return session.get_one(Run, run_id).state
