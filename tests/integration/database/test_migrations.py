"""The promises of migrations, against a real PostgreSQL."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from shared.database.errors import DatabaseUnavailable
from shared.database.migrations import ensure_database, migrate

REVISION = '''
"""{name}"""
from alembic import op
from shared.database.migrations import run_script

revision = "{name}"
down_revision = {after!r}


def upgrade() -> None:
    {body}
'''


def write_revision(folder: Path, *, name: str, after: str | None, body: str) -> None:
    """One revision file."""
    versions = folder / "versions"
    versions.mkdir(exist_ok=True)
    (versions / f"{name}.py").write_text(REVISION.format(name=name, after=after, body=body))


async def fetch_value(url: str, query: str) -> object:
    """One value from a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_what_is_missing_is_applied_in_order_and_once(database_url: str, tmp_path: Path) -> None:
    script = "run_script('CREATE TABLE things (id int); INSERT INTO things VALUES (1)')"
    write_revision(tmp_path, name="first", after=None, body=script)
    await migrate(database_url, tmp_path)
    await migrate(database_url, tmp_path)
    write_revision(tmp_path, name="second", after="first", body="op.execute('INSERT INTO things VALUES (2)')")
    await migrate(database_url, tmp_path)
    assert await fetch_value(database_url, "SELECT array_agg(id ORDER BY id) FROM things") == [1, 2]
    assert await fetch_value(database_url, "SELECT version_num FROM alembic_version") == "second"


async def test_two_at_once_apply_once(database_url: str, tmp_path: Path) -> None:
    body = "run_script('SELECT pg_sleep(0.3); CREATE TABLE things (id int); INSERT INTO things VALUES (1)')"
    write_revision(tmp_path, name="first", after=None, body=body)
    await asyncio.gather(*(migrate(database_url, tmp_path) for _ in range(4)))
    assert await fetch_value(database_url, "SELECT count(*) FROM things") == 1


async def test_a_revision_that_fails_leaves_nothing_behind(database_url: str, tmp_path: Path) -> None:
    write_revision(tmp_path, name="first", after=None, body="op.execute('CREATE TABLE things (id int)')")
    broken = "run_script('CREATE TABLE others (id int); SELECT 1 / 0')"
    write_revision(tmp_path, name="second", after="first", body=broken)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database_url, tmp_path)
    assert await fetch_value(database_url, "SELECT to_regclass('things')") is None
    assert await fetch_value(database_url, "SELECT to_regclass('alembic_version')") is None


async def test_a_database_that_is_absent_is_created_once_by_many(
    postgres_server: EmbeddedPostgres, postgres_url: str
) -> None:
    url = postgres_server.database_url("made by ensure_database")
    try:
        await asyncio.gather(*(ensure_database(url) for _ in range(4)))
        await ensure_database(url)
        assert await fetch_value(url, "SELECT current_database()") == "made by ensure_database"
    finally:
        postgres_server.run_sql('DROP DATABASE IF EXISTS "made by ensure_database"')


async def test_an_absent_server_is_said_to_be_absent(tmp_path: Path) -> None:
    nobody_there = "postgresql://carillon:secret@127.0.0.1:9/carillon"
    for work in (ensure_database(nobody_there), migrate(nobody_there, tmp_path)):
        with pytest.raises(DatabaseUnavailable) as caught:
            await work
        assert "secret" not in str(caught.value)
