"""The gateway's database: tables, statements and migrations."""
