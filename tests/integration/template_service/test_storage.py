"""The migrations make the tables that the models speak of."""

from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

import template_service
from shared.database.migrations import migrate
from template_service.storage.tables import Base

MIGRATIONS = Path(template_service.__file__).parent / "storage" / "migrations"


async def test_migrations_and_models_agree(database_url: str) -> None:
    await migrate(database_url, MIGRATIONS)
    engine = create_async_engine(make_url(database_url).set(drivername="postgresql+asyncpg"))
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()
    assert differences == []


def _differences(connection: Connection) -> list[Any]:
    found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    return [item for item in found if item[0] != "remove_table" or item[1].name != "alembic_version"]
