"""What all our tables share: the schema `drumbeat`, names of constraints, types."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Interval, MetaData, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase

SCHEMA = "drumbeat"
Json = dict[str, Any]
NOW = func.clock_timestamp()


class Base(DeclarativeBase):
    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        },
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this very attribute
        str: Text,
        datetime: TIMESTAMP(timezone=True),
        timedelta: Interval,
        Json: JSONB,
        list[str]: ARRAY(Text),
    }
