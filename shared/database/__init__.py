"""PostgreSQL: bounded connections, sessions, group commit and migrations."""
