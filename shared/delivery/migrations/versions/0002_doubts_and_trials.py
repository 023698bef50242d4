"""What is to be done about a doubt; how often the sweep took a row; messages that are tried alone."""

from shared.database.migrations import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCRIPT = """
ALTER TABLE deliveries
    ADD COLUMN doubt text CHECK (doubt IN ('same_key', 'ask', 'await_callback')),
    ADD COLUMN resumed smallint NOT NULL DEFAULT 0,
    ADD COLUMN resumed_until timestamptz;

COMMENT ON COLUMN deliveries.doubt IS
    'what is to be done at next_attempt_at about a call that may have been taken; NULL: an ordinary call';
COMMENT ON COLUMN deliveries.resumed IS
    'how often the sweep has taken it since its last claim: what ends the process each time is suspected';
COMMENT ON COLUMN deliveries.resumed_until IS 'until then it is in the hand of the sweep that took it';

CREATE TABLE trials (
    notification_id uuid NOT NULL,
    run integer NOT NULL,
    token uuid NOT NULL,
    held_until timestamptz NOT NULL,
    PRIMARY KEY (notification_id, run)
);

COMMENT ON TABLE trials IS
    'messages suspected of ending the process that handles them, while they are handled alone';
"""


def upgrade() -> None:
    """Add them."""
    run_script(SCRIPT)


def downgrade() -> None:
    """Drop them."""
    run_script(
        "DROP TABLE trials; ALTER TABLE deliveries DROP COLUMN doubt, DROP COLUMN resumed, "
        "DROP COLUMN resumed_until"
    )
