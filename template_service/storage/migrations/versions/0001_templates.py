"""Templates and their versions."""

from shared.database.migrations import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE templates (
    id uuid PRIMARY KEY,
    code text NOT NULL,
    name text NOT NULL,
    notification_type text NOT NULL,
    last_version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz
);
CREATE UNIQUE INDEX templates_code ON templates (code);

CREATE TABLE template_versions (
    id uuid PRIMARY KEY,
    template_id uuid NOT NULL REFERENCES templates (id) ON DELETE CASCADE,
    number integer NOT NULL,
    language text NOT NULL,
    status text NOT NULL,
    subject text,
    body text NOT NULL,
    text_body text,
    required_variables text[] NOT NULL,
    variables_schema jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    CONSTRAINT template_versions_status CHECK (status IN ('draft', 'published', 'archived'))
);
CREATE UNIQUE INDEX template_versions_number ON template_versions (template_id, number);
CREATE UNIQUE INDEX template_versions_published
    ON template_versions (template_id, language) WHERE status = 'published';
"""


def upgrade() -> None:
    """Make the tables."""
    run_script(SCRIPT)


def downgrade() -> None:
    """Remove the tables, with what is in them."""
    run_script("DROP TABLE template_versions, templates")
