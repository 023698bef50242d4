"""What operators do about failures: causes, closings, jobs and an audit log.

Revision ID: 0003
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

UP = (
    # Targets that took an earlier run, or may have, and are left out of the present one.
    "ALTER TABLE notifications ADD COLUMN excluded_targets text[]",
    # To find what was said to the same address since; recipients have an index already.
    "CREATE INDEX notifications_address ON notifications (to_address, id DESC) WHERE to_address IS NOT NULL",
    """
    ALTER TABLE failed
        ADD COLUMN owner uuid,
        ADD COLUMN closed_at timestamptz,
        ADD COLUMN closed_by text,
        ADD COLUMN job_id uuid,
        ADD COLUMN outcome text,
        ADD COLUMN cause text NOT NULL GENERATED ALWAYS AS (
            md5(
                coalesce(notification_type, '') || '|' || coalesce(provider, '') || '|' || error_kind || '|'
                || coalesce(template_code, '')
            )
        ) STORED
    """,
    """
    UPDATE failed AS f SET owner = n.owner,
        status = CASE WHEN n.run > f.run THEN 'reprocessed' ELSE f.status END,
        closed_at = CASE WHEN n.run > f.run THEN now() END
    FROM notifications AS n WHERE n.id = f.notification_id
    """,
    "DROP INDEX failed_open",
    "CREATE INDEX failed_status ON failed (status, id DESC)",
    "CREATE INDEX failed_owner ON failed (owner, status, id DESC) WHERE owner IS NOT NULL",
    "CREATE INDEX failed_cause ON failed (cause, id DESC) INCLUDE (created_at) WHERE status = 'open'",
    "CREATE INDEX failed_job ON failed (job_id, id DESC) WHERE job_id IS NOT NULL",
    "CREATE INDEX failed_in_flight ON failed (job_id, id) WHERE job_id IS NOT NULL AND outcome IS NULL",
    # `position`: the last failure that was looked at; `until_id`: the last there was at the start, so that
    # what fails again is not sent again by the same job; `again_until_id`: but by one that was stopped and is
    # resumed, as far as it had failed again by then. `active`: running, or not all has ended.
    """
    CREATE TABLE reprocess_jobs (
        id uuid PRIMARY KEY,
        status text NOT NULL,
        phase text NOT NULL,
        reason text,
        filter jsonb NOT NULL,
        owner uuid,
        most bigint,
        per_second double precision NOT NULL,
        skip_likely_duplicates boolean NOT NULL,
        position uuid NOT NULL,
        until_id uuid NOT NULL,
        again_until_id uuid,
        total bigint NOT NULL,
        released bigint NOT NULL DEFAULT 0,
        skipped bigint NOT NULL DEFAULT 0,
        sent bigint NOT NULL DEFAULT 0,
        failed_again bigint NOT NULL DEFAULT 0,
        other bigint NOT NULL DEFAULT 0,
        first_batch uuid[] NOT NULL DEFAULT '{}',
        active boolean NOT NULL DEFAULT true,
        lease_token uuid,
        lease_until timestamptz,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        finished_at timestamptz
    )
    """,
    "CREATE INDEX reprocess_jobs_active ON reprocess_jobs (id) WHERE active",
    "CREATE INDEX reprocess_jobs_status ON reprocess_jobs (status)",
    """
    CREATE TABLE operator_acts (
        id uuid PRIMARY KEY,
        at timestamptz NOT NULL,
        actor text NOT NULL,
        act text NOT NULL,
        owner uuid,
        failure_id uuid,
        notification_id uuid,
        job_id uuid,
        detail text
    )
    """,
    "CREATE INDEX operator_acts_failure ON operator_acts (failure_id, id DESC) WHERE failure_id IS NOT NULL",
    "CREATE INDEX operator_acts_owner ON operator_acts (owner, id DESC) WHERE owner IS NOT NULL",
    "CREATE INDEX operator_acts_job ON operator_acts (job_id, id DESC) WHERE job_id IS NOT NULL",
)


def upgrade() -> None:
    """Make it."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE operator_acts")
    op.execute("DROP TABLE reprocess_jobs")
    op.execute("DROP INDEX failed_status")
    op.execute(
        """
        ALTER TABLE failed DROP COLUMN cause, DROP COLUMN outcome, DROP COLUMN job_id, DROP COLUMN closed_by,
            DROP COLUMN closed_at, DROP COLUMN owner
        """
    )
    op.execute("CREATE INDEX failed_open ON failed (id DESC) WHERE status = 'open'")
    op.execute("DROP INDEX notifications_address")
    op.execute("ALTER TABLE notifications DROP COLUMN excluded_targets")
