"""Accounts, recipients, preferences, devices, API keys, refresh tokens."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE users (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        email text,
        email_key text,
        email_origin text NOT NULL,
        phone text,
        slack_id text,
        external_id text,
        language text,
        timezone text NOT NULL,
        role text NOT NULL,
        password_hash text,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        erased_at timestamptz,
        CONSTRAINT users_email_origin CHECK (email_origin IN ('verified', 'organisation', 'self')),
        CONSTRAINT users_role CHECK (role IN ('user', 'operator', 'admin'))
    )
    """,
    "CREATE UNIQUE INDEX users_account_email ON users (email_key) WHERE password_hash IS NOT NULL",
    "CREATE INDEX users_email ON users (email_key)",
    "CREATE UNIQUE INDEX users_external_id ON users (external_id)",
    """
    CREATE TABLE preferences (
        user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
        enabled jsonb NOT NULL,
        categories jsonb NOT NULL,
        quiet_start text,
        quiet_end text,
        CONSTRAINT preferences_quiet_hours CHECK ((quiet_start IS NULL) = (quiet_end IS NULL))
    )
    """,
    """
    CREATE TABLE devices (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        platform text NOT NULL,
        token text,
        subscription jsonb,
        digest bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE UNIQUE INDEX devices_digest ON devices (digest)",
    "CREATE INDEX devices_user ON devices (user_id, id)",
    """
    CREATE TABLE api_keys (
        id uuid PRIMARY KEY,
        owner uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        name text NOT NULL,
        kind text NOT NULL,
        scopes text[] NOT NULL,
        digest bytea NOT NULL,
        hint text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT api_keys_kind CHECK (kind IN ('live', 'test'))
    )
    """,
    "CREATE UNIQUE INDEX api_keys_digest ON api_keys (digest)",
    "CREATE INDEX api_keys_owner ON api_keys (owner, id)",
    """
    CREATE TABLE refresh_tokens (
        digest bytea PRIMARY KEY,
        family_id uuid NOT NULL,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        expires_at timestamptz NOT NULL,
        used_at timestamptz
    )
    """,
    "CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id)",
    "CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id, expires_at)",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove the tables, with what is in them."""
    op.execute("DROP TABLE refresh_tokens, api_keys, devices, preferences, users")
