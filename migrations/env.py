"""Alembic's entry: runs on the connection that db/migrate.py holds, its own table in our schema too."""

from alembic import context

from db.tables import SCHEMA, Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
    include_name=lambda name, kind, _parents: kind != "schema" or name == SCHEMA,
    compare_server_default=True,
)
context.run_migrations()
