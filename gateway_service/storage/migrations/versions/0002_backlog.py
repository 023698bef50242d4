"""An index that tells at once how far behind a lane is.

Revision ID: 0002
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Make it."""
    op.execute("CREATE INDEX outbox_lane ON outbox (channel, lane, due_at)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP INDEX outbox_lane")
