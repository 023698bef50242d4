"""The ledger."""

from shared.database.migrations import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE deliveries (
    notification_id uuid NOT NULL,
    run integer NOT NULL,
    target text NOT NULL,
    targets integer NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'sending', 'retrying', 'sent', 'failed', 'suppressed',
                                         'deferred', 'expired', 'unknown')),
    attempt integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    lease_token uuid,
    next_attempt_at timestamptz,
    provider text,
    provider_message_id text,
    problem jsonb,
    attempts jsonb NOT NULL DEFAULT '[]',
    possible_duplicate boolean NOT NULL DEFAULT false,
    deferred_until timestamptz,
    request bytea,
    correlation_id text NOT NULL,
    unreported_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (notification_id, run, target)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

COMMENT ON COLUMN deliveries.targets IS 'how many targets the run has';
COMMENT ON COLUMN deliveries.request IS
    'the message as it came; dropped once it is sent or its end is known to the gateway';
COMMENT ON COLUMN deliveries.unreported_since IS
    'when the report was last sent; NULL once the gateway has acknowledged it';

CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE state IN ('pending', 'retrying');
CREATE INDEX deliveries_leases ON deliveries (lease_until) WHERE state = 'sending';
CREATE INDEX deliveries_unreported ON deliveries (unreported_since) WHERE unreported_since IS NOT NULL;
"""


def upgrade() -> None:
    """Create the ledger."""
    run_script(SCRIPT)


def downgrade() -> None:
    """Drop the ledger."""
    run_script("DROP TABLE deliveries")
