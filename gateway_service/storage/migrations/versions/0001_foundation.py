"""The gateway's tables: notifications and their targets by month, the outbox, keys, failures.

Revision ID: 0001
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from alembic import op

from gateway_service.storage.partitions import MONTHS_AHEAD, partition_statements

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = (
    # No foreign keys: old months are dropped whole, and a report may outlive the notification.
    """
    CREATE TABLE notifications (
        id uuid PRIMARY KEY,
        owner uuid NOT NULL,
        user_id uuid,
        external_id text,
        to_address text,
        notification_type text NOT NULL,
        template_code text,
        template_version integer,
        language text,
        variables jsonb NOT NULL,
        content jsonb,
        priority smallint NOT NULL,
        lane text NOT NULL,
        category text NOT NULL,
        metadata jsonb NOT NULL,
        status text NOT NULL,
        run integer NOT NULL DEFAULT 1,
        error text,
        error_kind text,
        possible_duplicate boolean NOT NULL DEFAULT false,
        scheduled_at timestamptz,
        expires_at timestamptz,
        test boolean NOT NULL,
        batch_id uuid,
        event_id text,
        correlation_id text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        timeline jsonb NOT NULL
    ) PARTITION BY RANGE (id)
    """,
    "CREATE INDEX notifications_owner ON notifications (owner, id DESC)",
    "CREATE INDEX notifications_user ON notifications (user_id, id DESC) WHERE user_id IS NOT NULL",
    "CREATE INDEX notifications_status ON notifications (status, id DESC)",
    "CREATE INDEX notifications_batch ON notifications (batch_id, id DESC) WHERE batch_id IS NOT NULL",
    "CREATE INDEX notifications_event ON notifications (event_id, id DESC) WHERE event_id IS NOT NULL",
    """
    CREATE INDEX notifications_template ON notifications (template_code, id DESC)
    WHERE template_code IS NOT NULL
    """,
    "CREATE TABLE notifications_other PARTITION OF notifications DEFAULT",
    """
    CREATE TABLE targets (
        notification_id uuid NOT NULL,
        run integer NOT NULL,
        target text NOT NULL,
        expected integer NOT NULL,
        state text NOT NULL,
        attempt integer NOT NULL,
        rank smallint NOT NULL,
        possible_duplicate boolean NOT NULL,
        deferred_until timestamptz,
        error text,
        error_kind text,
        provider text,
        provider_message_id text,
        attempts jsonb NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (notification_id, run, target)
    ) PARTITION BY RANGE (notification_id)
    """,
    "CREATE TABLE targets_other PARTITION OF targets DEFAULT",
    # One row for each run that is not closed. `next_at`: when something is to be done about it: publish
    # where published_at is null (before that the row is leased or not due), else ask the ledger.
    """
    CREATE TABLE outbox (
        notification_id uuid NOT NULL,
        run integer NOT NULL,
        channel text NOT NULL,
        lane text NOT NULL,
        due_at timestamptz NOT NULL,
        next_at timestamptz NOT NULL,
        published_at timestamptz,
        publish_count integer NOT NULL DEFAULT 0,
        asked_count integer NOT NULL DEFAULT 0,
        PRIMARY KEY (notification_id, run)
    ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)
    """,
    "CREATE INDEX outbox_unpublished ON outbox (next_at) WHERE published_at IS NULL",
    "CREATE INDEX outbox_urgent ON outbox (next_at) WHERE published_at IS NULL AND lane = 'urgent'",
    "CREATE INDEX outbox_published ON outbox (next_at) WHERE published_at IS NOT NULL",
    """
    CREATE TABLE idempotency_keys (
        owner uuid NOT NULL,
        key text NOT NULL,
        fingerprint bytea NOT NULL,
        notification_id uuid,
        batch_id uuid,
        response bytea,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (owner, key)
    )
    """,
    "CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at)",
    """
    CREATE TABLE failed (
        id uuid PRIMARY KEY,
        notification_id uuid,
        target text,
        run integer,
        notification_type text,
        template_code text,
        provider text,
        error text NOT NULL,
        error_kind text NOT NULL,
        request jsonb,
        history jsonb NOT NULL,
        stack text,
        raw bytea,
        raw_digest bytea UNIQUE,
        status text NOT NULL DEFAULT 'open',
        created_at timestamptz NOT NULL,
        UNIQUE (notification_id, target, run)
    )
    """,
    "CREATE INDEX failed_open ON failed (id DESC) WHERE status = 'open'",
    # The sentinel that the broker should still hold. What was published before `since` may be gone.
    """
    CREATE TABLE broker_epoch (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        epoch text NOT NULL,
        since timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Make everything."""
    for statement in TABLES:
        op.execute(statement)
    for statement in partition_statements(datetime.now(UTC), months=MONTHS_AHEAD):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything."""
    for table in ("broker_epoch", "failed", "idempotency_keys", "outbox", "targets", "notifications"):
        op.execute(f"DROP TABLE {table}")
