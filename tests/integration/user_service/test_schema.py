"""The migrations make the tables that the code believes in."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from shared.database.migrations import migrate
from tests.integration.user_service.conftest import MIGRATIONS
from user_service.storage.tables import Base


async def test_migrations_and_tables_agree(database_url: str) -> None:
    await migrate(database_url, MIGRATIONS)
    engine = create_async_engine(make_url(database_url).set(drivername="postgresql+asyncpg"))

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    assert found == []
