"""first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_21_first_tables"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        schema="drumbeat",
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        schema="drumbeat",
    )
    op.create_table(
        "clicks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("click_class", sa.Text(), nullable=False),
        sa.Column("signed", sa.Boolean(), nullable=False),
        sa.Column("named", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column(
            "clicked_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clicks")),
        schema="drumbeat",
    )
    op.create_index(op.f("ix_clicks_message_id"), "clicks", ["message_id"], unique=False, schema="drumbeat")
    op.create_index(
        op.f("ix_clicks_run_id_click_class"), "clicks", ["run_id", "click_class"], unique=False, schema="drumbeat"
    )
    op.create_table(
        "devices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=True),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("fcm_token", sa.Text(), nullable=True),
        sa.Column("mqtt_client_id", sa.Text(), nullable=True),
        sa.Column(
            "registered_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
        schema="drumbeat",
    )
    op.create_index(op.f("ix_devices_owner_id"), "devices", ["owner_id"], unique=False, schema="drumbeat")
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("plan", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("begun_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("paused_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("paused_total", sa.Interval(), server_default=sa.text("'0'"), nullable=False),
        sa.Column("cancelled_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("released_up_to", sa.Integer(), nullable=True),
        sa.Column("targeted", sa.Integer(), nullable=True),
        sa.Column("left_out", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("noted", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("campaign", "slot", name=op.f("uq_runs_campaign_slot")),
        sa.UniqueConstraint("workflow_id", name=op.f("uq_runs_workflow_id")),
        schema="drumbeat",
    )
    op.create_index(op.f("ix_runs_created_at"), "runs", ["created_at"], unique=False, schema="drumbeat")
    op.create_table(
        "suppressions",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("address_hash", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "since", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("channel", "address_hash", name=op.f("pk_suppressions")),
        schema="drumbeat",
    )
    op.create_table(
        "sweep_count",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep_count")),
        schema="drumbeat",
    )
    op.create_table(
        "audience",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("recipient_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("shuffled", sa.Text(), nullable=False),
        sa.Column("row", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["drumbeat.runs.id"], name=op.f("fk_audience_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "recipient_id", "subject", name=op.f("pk_audience")),
        schema="drumbeat",
    )
    op.create_index(
        op.f("ix_audience_run_id_shuffled_recipient_id"),
        "audience",
        ["run_id", "shuffled", "recipient_id"],
        unique=False,
        schema="drumbeat",
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("recipient_id", sa.Text(), nullable=False),
        sa.Column("person_key", sa.Text(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("addresses", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("acknowledges", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("text", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("state", sa.Text(), server_default=sa.text("'planned'"), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("hold_reason", sa.Text(), nullable=True),
        sa.Column("nudged_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("acknowledged_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("acknowledged_late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("clicked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["run_id"], ["drumbeat.runs.id"], name=op.f("fk_messages_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("run_id", "position", name=op.f("uq_messages_run_id_position")),
        sa.UniqueConstraint("run_id", "recipient_id", name=op.f("uq_messages_run_id_recipient_id")),
        schema="drumbeat",
    )
    op.create_index(
        "ix_messages_awaits_hand_over",
        "messages",
        ["run_id"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text(
            "state in ('planned', 'sending') and ended_at is null and due_at is not null and hold_reason is null"
        ),
    )
    op.create_index(
        "ix_messages_due",
        "messages",
        ["due_at"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("due_at is not null"),
    )
    op.create_index(
        "ix_messages_held",
        "messages",
        ["run_id", "hold_reason"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("hold_reason is not null"),
    )
    op.create_index(
        op.f("ix_messages_person_key"),
        "messages",
        ["person_key"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("person_key is not null"),
    )
    op.create_index(
        op.f("ix_messages_run_id_state_id"), "messages", ["run_id", "state", "id"], unique=False, schema="drumbeat"
    )
    op.create_index(
        "ix_messages_unfinished",
        "messages",
        ["run_id", "state"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_index(
        "ix_messages_unopened",
        "messages",
        ["run_id", "position"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("state = 'planned' and ended_at is null and due_at is null and hold_reason is null"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("person_key", sa.Text(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("claimed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("settled_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("deadline", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("retry_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("acknowledged_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"], ["drumbeat.messages.id"], name=op.f("fk_attempts_message_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("message_id", "number", name=op.f("uq_attempts_message_id_number")),
        schema="drumbeat",
    )
    op.create_index(
        "ix_attempts_person",
        "attempts",
        ["person_key", "claimed_at"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("person_key is not null"),
    )
    op.create_index(
        op.f("ix_attempts_run_id_channel_state"),
        "attempts",
        ["run_id", "channel", "state"],
        unique=False,
        schema="drumbeat",
    )
    op.create_index(
        "ix_attempts_sending",
        "attempts",
        ["run_id", "claimed_at"],
        unique=False,
        schema="drumbeat",
        postgresql_where=sa.text("state = 'sending'"),
    )
    op.create_table(
        "acknowledgements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column(
            "arrived_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["drumbeat.attempts.id"], name=op.f("fk_acknowledgements_attempt_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acknowledgements")),
        schema="drumbeat",
    )
    op.create_index(
        op.f("ix_acknowledgements_attempt_id"), "acknowledgements", ["attempt_id"], unique=False, schema="drumbeat"
    )
