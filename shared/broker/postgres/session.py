"""Sessions with PostgreSQL: kept up, one statement at a time, every wait bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg
import structlog

from shared.broker.interface import BrokerUnavailable
from shared.broker.link import Link

log = structlog.get_logger()

CONNECT_TIMEOUT_S = 5.0
SCHEMA_VERSION = "carillon broker 1"
LOCK_SPACE = 0x6361_7269
"""The first half of our advisory locks; the second is a holder, or 0 while the schema is made."""

_SCHEMA = (Path(__file__).parent / "schema.sql").read_text()
# The tables may have been empty when last analyzed: the planner must not fall back to reading all of them.
_PLANS = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}
# Notices the death of a peer that went without a word, long before a lease runs out.
_KEEPALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
_CONNECTION_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
# The broker's tables were removed under us: connecting makes them anew.
_SCHEMA_GONE = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedObjectError)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class Backend:
    """One connection. `holder` names it in leases for as long as it stands."""

    connection: "asyncpg.Connection"
    holder: int


class Session:
    """A connection that is kept up, and on which one thing happens at a time.

    `lazy_commit`: commits do not wait for the disk, so that a crash of the server may undo the last moment:
    right for taking and settling, where that means "delivered once more", wrong for publishing.
    """

    def __init__(
        self,
        url: str,
        *,
        client_name: str,
        purpose: str,
        lazy_commit: bool,
        prepare: "Callable[[asyncpg.Connection], Awaitable[None]] | None" = None,
    ) -> None:
        self._url = url
        self._prepare = prepare
        self._settings = {"application_name": f"{client_name} {purpose}"[:63], **_PLANS, **_KEEPALIVE}
        if lazy_commit:
            self._settings["synchronous_commit"] = "off"
        self._turn = asyncio.Lock()
        self.link: Link[Backend] = Link(purpose=purpose, connect=self._connect, disconnect=self._disconnect)

    async def run(self, work: "Callable[[asyncpg.Connection], Awaitable[T]]", *, timeout_s: float) -> T:
        """The result of `work`, waiting for its turn included. Raises BrokerUnavailable."""
        backend = self.link.require()
        try:
            async with asyncio.timeout(timeout_s), self._turn:
                return await work(backend.connection)
        except TimeoutError as error:
            self.link.drop(backend)
            raise BrokerUnavailable(f"PostgreSQL did not answer within {timeout_s:g} s.") from error
        except (*_CONNECTION_GONE, *_SCHEMA_GONE) as error:
            self.link.drop(backend)
            raise BrokerUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error
        except asyncpg.PostgresError as error:
            raise BrokerUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error

    async def _connect(self, lost: Callable[[], None]) -> Backend:
        try:
            async with asyncio.timeout(2 * CONNECT_TIMEOUT_S):
                connection = await self._open()
                try:
                    connection.add_termination_listener(lambda _: lost())
                    await _ensure_schema(connection)
                    holder = await connection.fetchval("SELECT nextval('broker.holders')::integer")
                    await connection.execute("SELECT pg_advisory_lock($1, $2)", LOCK_SPACE, holder)
                    if self._prepare is not None:
                        await self._prepare(connection)
                except BaseException:
                    connection.terminate()
                    raise
        except (asyncpg.PostgresError, *_CONNECTION_GONE, TimeoutError) as error:
            raise BrokerUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error
        return Backend(connection=connection, holder=holder)

    async def _open(self) -> "asyncpg.Connection":
        try:
            return await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_S, server_settings=self._settings)
        except asyncpg.InvalidCatalogNameError:
            await _create_database(self._url)
            return await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_S, server_settings=self._settings)

    @staticmethod
    async def _disconnect(backend: Backend) -> None:
        # Without a goodbye: it may be frozen, and PostgreSQL frees everything of a closed socket.
        with suppress(Exception):
            backend.connection.terminate()


async def _ensure_schema(connection: "asyncpg.Connection") -> None:
    version = "SELECT obj_description(to_regnamespace('broker'), 'pg_namespace')"
    if await connection.fetchval(version) == SCHEMA_VERSION:
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1, 0)", LOCK_SPACE)
        if await connection.fetchval(version) != SCHEMA_VERSION:
            await connection.execute(_SCHEMA)
            await connection.execute(f"COMMENT ON SCHEMA broker IS '{SCHEMA_VERSION}'")
            log.info("broker.schema_created", version=SCHEMA_VERSION)


async def _create_database(url: str) -> None:
    parts = urlsplit(url)
    name = unquote(parts.path.lstrip("/"))
    maintenance = await asyncpg.connect(
        urlunsplit(parts._replace(path="/postgres")), timeout=CONNECT_TIMEOUT_S
    )
    try:
        quoted = name.replace('"', '""')
        # Another process may be doing the same.
        with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            await maintenance.execute(f'CREATE DATABASE "{quoted}"')
            log.info("broker.database_created", database=name)
    finally:
        maintenance.terminate()
