"""Connections to PostgreSQL, bounded in number and in time.

Two ways in: `transaction` and `connection` give an asyncpg connection, for the hot path; `session` and
`sessions` give SQLAlchemy's, for ordinary queries. Both translate errors (errors.py), and neither makes
anybody wait longer than the time-outs for a database that is down or frozen. Nothing is connected before
it is needed and a broken connection is replaced at its next use, so that a database that comes back is
used again without a restart.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import asyncpg
import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from shared.database.errors import CommitUnknown, DatabaseUnavailable, unavailability
from shared.database.sessions import SessionFactory, create_engine

log = structlog.get_logger()

Connection: TypeAlias = Any
"""An asyncpg connection as the pool gives it out; asyncpg has no types."""

_CLOSE_TIMEOUT_S = 5.0
_RELEASE_TIMEOUT_S = 1.0


_KEYS_ONLY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""What goes over these connections asks for rows by their keys. PostgreSQL keeps the plan that it made while
a table was young, for minutes, and read the whole of a month's notifications for each group of reports."""


class Database:
    """One service's database. `timeout_s` bounds a statement; waiting for a connection, half of it."""

    def __init__(self, url: str, *, pool_size: int = 10, timeout_s: float = 2.0) -> None:
        self._url = url
        self._pool_size = pool_size
        self._timeout_s = timeout_s
        self._connect_timeout_s = timeout_s / 2
        self._pool: Any = None
        self._engine: AsyncEngine | None = None
        self._sessions: SessionFactory | None = None
        self._away = False

    async def start(self) -> None:
        """Ready to be used; connects to nothing, so PostgreSQL may be away."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._pool_size,
            timeout=self._connect_timeout_s,
            command_timeout=self._timeout_s,
            init=_set_codecs,
            connection_class=_Connection,
            server_settings=_KEYS_ONLY,
        )
        self._engine = create_engine(
            self._url,
            pool_size=max(2, self._pool_size // 2),
            connect_timeout_s=self._connect_timeout_s,
            statement_timeout_s=self._timeout_s,
        )
        self._sessions = SessionFactory(self._engine, connect_timeout_s=self._connect_timeout_s)

    async def close(self) -> None:
        """Close every connection; those still in use after 5 s are broken off."""
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), _CLOSE_TIMEOUT_S)
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self._pool.terminate()
        if self._engine is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._engine.dispose(), _CLOSE_TIMEOUT_S)

    @property
    def pool(self) -> Any:
        """asyncpg's pool, for what the methods here do not offer; its errors are asyncpg's."""
        if self._pool is None:
            raise RuntimeError("Database.start was not awaited")
        return self._pool

    @property
    def sessions(self) -> async_sessionmaker[AsyncSession]:
        """SQLAlchemy's session maker; its errors are SQLAlchemy's. Prefer `session`."""
        return self._session_factory.maker

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection without a transaction: each statement commits by itself. Await nothing but the
        database inside: any TimeoutError or OSError that leaves the block counts as PostgreSQL's.
        Raises DatabaseUnavailable."""
        connection = await self._acquire()
        try:
            yield connection
        except BaseException as error:
            # Not released as it is: a connection in an unknown state would make the pool wait for it.
            unavailable = self._unavailable(error)
            if unavailable is not None or isinstance(error, asyncio.CancelledError):
                # Where the server closed it, the pool has taken it back already.
                with suppress(asyncpg.InterfaceError):
                    connection.terminate()
            if unavailable is not None and unavailable is not error:
                raise unavailable from error
            raise
        finally:
            await self._release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction that is committed at the end of the block and rolled back where an
        exception leaves it. Raises DatabaseUnavailable; CommitUnknown where COMMIT was not answered."""
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except BaseException as error:
                if unavailability(error) is None and not isinstance(error, asyncio.CancelledError):
                    await transaction.rollback()
                raise
            try:
                await transaction.commit()
            except Exception as error:
                if self._unavailable(error) is None:
                    raise
                raise CommitUnknown("the connection to PostgreSQL broke during COMMIT") from error

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction, committed at the end of the block, rolled back where an exception
        leaves it. Raises DatabaseUnavailable; CommitUnknown where COMMIT was not answered."""
        try:
            async with self._session_factory.transaction() as session:
                yield session
        except Exception as error:
            unavailable = self._unavailable(error)
            if unavailable is not None and unavailable is not error:
                raise unavailable from error
            raise
        self._away = False

    async def ping(self) -> None:
        """Ask for a sign of life. Raises DatabaseUnavailable."""
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1")

    @property
    def _session_factory(self) -> SessionFactory:
        if self._sessions is None:
            raise RuntimeError("Database.start was not awaited")
        return self._sessions

    async def _acquire(self) -> Any:
        try:
            connection = await self.pool.acquire(timeout=self._connect_timeout_s)
        except Exception as error:
            unavailable = self._unavailable(error)
            if unavailable is None:
                raise
            raise unavailable from error
        if self._away:
            self._away = False
            log.info("database.available")
        return connection

    async def _release(self, connection: Any) -> None:
        try:
            await self.pool.release(connection, timeout=_RELEASE_TIMEOUT_S)
        except Exception as error:
            # The pool has broken the connection off already; the caller's work is done, or has its own error.
            log.warning("database.connection_dropped", reason=type(error).__name__)

    def _unavailable(self, error: BaseException) -> DatabaseUnavailable | None:
        unavailable = unavailability(error)
        if unavailable is not None and not self._away:
            self._away = True
            log.warning("database.unavailable", reason=str(unavailable))
        return unavailable


class _Connection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """Goes back into the pool without a round trip: what is set in a session is set with SET LOCAL only,
    advisory locks are those of transactions, and an open transaction is still rolled back."""

    def get_reset_query(self) -> str:
        """Nothing."""
        return ""


async def _set_codecs(connection: Any) -> None:
    # jsonb's binary form is a version byte, 1, before the text.
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
    )
    await connection.set_type_codec(
        "json",
        schema="pg_catalog",
        format="binary",
        encoder=msgspec.json.encode,
        decoder=msgspec.json.decode,
    )
