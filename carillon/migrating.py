"""`python -m carillon.migrating`: the process behind `carillon.migrations`."""

import asyncio
import sys
from pathlib import Path

import msgspec

from shared.process.importing import without_collecting

with without_collecting():
    from carillon.migrations import Migration
    from shared.database.errors import DatabaseUnavailable
    from shared.database.migrations import ensure_database, migrate


async def main(migrations: list[Migration]) -> int:
    """Bring each up to date; the exit code. Alembic keeps its state in globals, so there is one at a time."""
    for migration in migrations:
        try:
            await ensure_database(migration.database_url)
            await migrate(migration.database_url, Path(migration.revisions))
        except DatabaseUnavailable as error:
            print(f"that of the {migration.service} service: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(msgspec.json.decode(sys.stdin.buffer.read(), type=list[Migration]))))
