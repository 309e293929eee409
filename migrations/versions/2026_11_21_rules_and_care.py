"""rules that protect people, launching with care."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_21_rules_and_care"
down_revision = "2026_11_21_outcomes_and_holdout"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "consents",
        sa.Column("person_hash", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column(
            "since", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("person_hash", "purpose", "channel", name=op.f("pk_consents")),
        schema="drumbeat",
    )
    op.create_table(
        "missed_runs",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("planned_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column(
            "noted_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("campaign", "planned_at", name=op.f("pk_missed_runs")),
        schema="drumbeat",
    )
    op.create_table(
        "reported_attempts",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("reported_id", sa.Text(), nullable=False),
        sa.Column("ours", sa.Boolean(), nullable=False),
        sa.Column(
            "reported_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["drumbeat.runs.id"], name=op.f("fk_reported_attempts_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "channel", "reported_id", name=op.f("pk_reported_attempts")),
        schema="drumbeat",
    )
    op.create_table(
        "deferrals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"], ["drumbeat.messages.id"], name=op.f("fk_deferrals_message_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deferrals")),
        schema="drumbeat",
    )
    op.create_index(op.f("ix_deferrals_message_id"), "deferrals", ["message_id"], unique=False, schema="drumbeat")
    op.add_column("attempts", sa.Column("verdict", sa.Text(), nullable=True), schema="drumbeat")
    op.add_column(
        "messages",
        sa.Column("zone_candidates", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        schema="drumbeat",
    )
    op.create_index(
        "ix_messages_ownerless",
        "messages",
        ["recipient_id"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("person_key is null"),
    )
    op.add_column("runs", sa.Column("started_by", sa.Text(), nullable=True), schema="drumbeat")
    op.add_column("runs", sa.Column("retry_of", sa.Uuid(), nullable=True), schema="drumbeat")
    op.add_column(
        "runs", sa.Column("resumes_at", postgresql.TIMESTAMP(timezone=True), nullable=True), schema="drumbeat"
    )
    op.add_column("runs", sa.Column("canary", sa.Integer(), nullable=True), schema="drumbeat")
    op.add_column(
        "runs", sa.Column("canary_settled_at", postgresql.TIMESTAMP(timezone=True), nullable=True), schema="drumbeat"
    )
    op.add_column("runs", sa.Column("gate", sa.Text(), nullable=True), schema="drumbeat")
    op.add_column("runs", sa.Column("approved_by", sa.Text(), nullable=True), schema="drumbeat")
    op.add_column(
        "runs", sa.Column("watched_from", postgresql.TIMESTAMP(timezone=True), nullable=True), schema="drumbeat"
    )
    op.add_column("runs", sa.Column("limited_to", sa.Integer(), nullable=True), schema="drumbeat")
    op.create_foreign_key(
        op.f("fk_runs_retry_of"),
        "runs",
        "runs",
        ["retry_of"],
        ["id"],
        source_schema="drumbeat",
        referent_schema="drumbeat",
        ondelete="SET NULL",
    )
    op.add_column(
        "suppressions",
        sa.Column("source", sa.Text(), server_default=sa.text("'provider'"), nullable=False),
        schema="drumbeat",
    )
    op.add_column("suppressions", sa.Column("run_id", sa.Uuid(), nullable=True), schema="drumbeat")
    op.create_index(
        op.f("ix_suppressions_run_id"),
        "suppressions",
        ["run_id"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("run_id is not null"),
    )
    op.execute("""
        create function drumbeat.refuse_change() returns trigger language plpgsql as $$
        begin
            raise exception 'the audit log is append-only';
        end $$
    """)
    op.execute("""
        create trigger append_only before update or delete or truncate on drumbeat.audit_log
        for each statement execute function drumbeat.refuse_change()
    """)


def downgrade() -> None:
    op.execute("drop trigger append_only on drumbeat.audit_log")
    op.execute("drop function drumbeat.refuse_change()")
    op.drop_index(op.f("ix_suppressions_run_id"), table_name="suppressions", schema="drumbeat")

    op.drop_column("suppressions", "run_id", schema="drumbeat")
    op.drop_column("suppressions", "source", schema="drumbeat")
    op.drop_constraint(op.f("fk_runs_retry_of"), "runs", schema="drumbeat", type_="foreignkey")
    op.drop_column("runs", "limited_to", schema="drumbeat")
    op.drop_column("runs", "watched_from", schema="drumbeat")
    op.drop_column("runs", "approved_by", schema="drumbeat")
    op.drop_column("runs", "gate", schema="drumbeat")
    op.drop_column("runs", "canary_settled_at", schema="drumbeat")
    op.drop_column("runs", "canary", schema="drumbeat")
    op.drop_column("runs", "resumes_at", schema="drumbeat")
    op.drop_column("runs", "retry_of", schema="drumbeat")
    op.drop_column("runs", "started_by", schema="drumbeat")
    op.drop_index("ix_messages_ownerless", table_name="messages", schema="drumbeat")
    op.drop_column("messages", "zone_candidates", schema="drumbeat")
    op.drop_column("attempts", "verdict", schema="drumbeat")
    op.drop_index(op.f("ix_deferrals_message_id"), table_name="deferrals", schema="drumbeat")
    op.drop_table("deferrals", schema="drumbeat")
    op.drop_table("reported_attempts", schema="drumbeat")
    op.drop_table("missed_runs", schema="drumbeat")
    op.drop_table("consents", schema="drumbeat")
