"""outcomes and holdout."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_21_outcomes_and_holdout"
down_revision = "2026_11_21_first_tables"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outcomes",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("before_readable", sa.Boolean(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("arm", sa.Text(), server_default=sa.text("'treated'"), nullable=False),
        sa.Column("sent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("opens_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("closes_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("read_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("after_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["drumbeat.runs.id"], name=op.f("fk_outcomes_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "subject", name=op.f("pk_outcomes")),
        schema="drumbeat",
    )
    op.create_index(
        "ix_outcomes_unopened",
        "outcomes",
        ["run_id", "subject"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("read_at is null and opens_at is null"),
    )
    op.create_index(
        "ix_outcomes_unread",
        "outcomes",
        ["run_id", "closes_at"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("read_at is null and opens_at is not null"),
    )
    op.create_index(
        op.f("ix_audience_run_id_subject"), "audience", ["run_id", "subject"], unique=False, schema="drumbeat"
    )
    op.add_column(
        "messages",
        sa.Column("held_out", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="drumbeat",
    )
    op.add_column(
        "runs", sa.Column("measured_at", postgresql.TIMESTAMP(timezone=True), nullable=True), schema="drumbeat"
    )
    op.add_column("runs", sa.Column("measurement_reason", sa.Text(), nullable=True), schema="drumbeat")
    op.add_column(
        "runs", sa.Column("outcomes", postgresql.JSONB(astext_type=sa.Text()), nullable=True), schema="drumbeat"
    )
