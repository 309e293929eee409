"""Brings the schema `drumbeat` up to date, by Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from db.engine import create_database_engine
from db.tables import SCHEMA

_MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
_ONE_AT_A_TIME = 7_203_411_905  # any number, the same for all who migrate


def alembic_config() -> Config:
    """That knows where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def migrate(database_url: str) -> None:
    """Apply all migrations that are not applied yet; several processes may call this at once."""
    engine = create_database_engine(database_url, pool_size=1, application="drumbeat-migrate")
    try:
        with engine.begin() as connection:
            connection.execute(text("set local lock_timeout = '60s'"))
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
            connection.execute(text(f"create schema if not exists {SCHEMA}"))
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
