"""Migrations with Alembic, over asyncpg, without an env.py of their own.

A service keeps its revisions in `storage/migrations/versions/*.py`. Everything that is missing is applied
in one transaction, under an advisory lock: of two processes that migrate at once, one finds nothing to do.
"""

import contextlib
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from alembic import op
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.database.errors import DatabaseUnavailable, unavailability

log = structlog.get_logger()

_LOCK_KEY = 0x436172696C6C6F6E
"""Of the advisory lock, which is per database: "Carillon" in ASCII."""
_CONNECT_TIMEOUT_S = 5.0
_MAINTENANCE_DATABASES = ("postgres", "template1")


async def migrate(url: str, script_location: Path) -> None:
    """Bring the database at `url` to the newest revision under `script_location`, a folder with `versions`.
    Raises DatabaseUnavailable, and what a revision raises, after which nothing has changed."""
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"timeout": _CONNECT_TIMEOUT_S},
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            await connection.run_sync(_upgrade, script_location)
    except Exception as error:
        unavailable = unavailability(error)
        if unavailable is None:
            raise
        raise unavailable from error
    finally:
        await engine.dispose()


async def ensure_database(url: str) -> None:
    """Create the database that `url` names where it does not exist. Raises DatabaseUnavailable, whose text
    says what is in the way."""
    target = make_url(url)
    try:
        await _close(await _connect(target))
    except asyncpg.InvalidCatalogNameError:
        await _create(target)
    except Exception as error:
        unavailable = unavailability(error)
        if unavailable is None:
            raise
        raise unavailable from error


def run_script(sql: str) -> None:
    """Inside a revision: run several statements at once, which `op.execute` cannot do over asyncpg."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def _upgrade(connection: Connection, script_location: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)

    def missing_revisions(revision: Any, _context: MigrationContext) -> Any:
        return scripts._upgrade_revs("heads", revision)

    with EnvironmentContext(config, scripts, fn=missing_revisions, destination_rev="heads") as environment:
        environment.configure(connection=connection, transaction_per_migration=False)
        before = environment.get_context().get_current_heads()
        with environment.begin_transaction():
            environment.run_migrations()
        after = environment.get_context().get_current_heads()
    if before != after:
        log.info("database.migrated", database=connection.engine.url.database, revisions=list(after))


async def _create(target: URL) -> None:
    refusal: BaseException | None = None
    for name in _MAINTENANCE_DATABASES:
        try:
            connection = await _connect(target.set(database=name))
        except (asyncpg.InvalidCatalogNameError, asyncpg.InvalidAuthorizationSpecificationError) as error:
            refusal = error
            continue
        quoted = '"' + str(target.database).replace('"', '""') + '"'
        try:
            # Two processes may get here at once: the one that loses finds what it wanted.
            with contextlib.suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                await connection.execute(f"CREATE DATABASE {quoted}")
                log.info("database.created", database=target.database)
        except asyncpg.InsufficientPrivilegeError as error:
            raise DatabaseUnavailable(
                f"the database {target.database} does not exist, and this user may not create it"
            ) from error
        finally:
            await _close(connection)
        return
    raise DatabaseUnavailable(f"the database {target.database} does not exist") from refusal


async def _connect(target: URL) -> Any:
    dsn = target.set(drivername="postgresql").render_as_string(hide_password=False)
    return await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)


async def _close(connection: Any) -> None:
    try:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)
    except (TimeoutError, OSError):
        connection.terminate()
