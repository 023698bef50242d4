"""SQLAlchemy's side of the database: the engine and its sessions, as bounded in time as asyncpg's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from shared.database.errors import CommitUnknown, unavailability

_GOODBYE_S = 0.3


def create_engine(
    url: str, *, pool_size: int, connect_timeout_s: float, statement_timeout_s: float | None
) -> AsyncEngine:
    """An engine on asyncpg. Parameters never show in errors or logs; `statement_timeout_s` None: no bound."""
    return create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=connect_timeout_s,
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        connect_args={
            "timeout": connect_timeout_s,
            "command_timeout": statement_timeout_s,
            "connection_class": _Connection,
        },
    )


class _Connection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """Says goodbye briefly: SQLAlchemy would wait 2 s for a server that does not answer."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's name
        """Close, and break off what is not closed in time."""
        bound = _GOODBYE_S if timeout is None else min(timeout, _GOODBYE_S)
        await super().close(timeout=bound)


class SessionFactory:
    """Makes sessions whose connection is there, or known not to be, within `connect_timeout_s`."""

    def __init__(self, engine: AsyncEngine, *, connect_timeout_s: float) -> None:
        self.maker = async_sessionmaker(engine, expire_on_commit=False)
        self._connect_timeout_s = connect_timeout_s

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Commits at the end. Raises SQLAlchemy's and asyncpg's errors, and CommitUnknown."""
        session = self.maker()
        driver_connection: Any = None
        try:
            # Fetched here, before the first statement: pool, pre-ping and connecting then share one time-out.
            async with asyncio.timeout(self._connect_timeout_s):
                raw = await (await session.connection()).get_raw_connection()
            driver_connection = raw.driver_connection
            yield session
            try:
                await session.commit()
            except Exception as error:
                if unavailability(error) is None:
                    raise
                raise CommitUnknown("the connection to PostgreSQL broke during COMMIT") from error
        except BaseException as error:
            if unavailability(error) is not None or isinstance(error, asyncio.CancelledError):
                # Broken off first: to a server that does not answer, ROLLBACK would wait once more.
                if driver_connection is not None:
                    driver_connection.terminate()
                await session.invalidate()
            raise
        finally:
            await session.close()
