"""The promises of Database, against a real PostgreSQL."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.setup_error import SetupError
from shared.database.engine import Database
from shared.database.errors import CommitUnknown, DatabaseUnavailable
from tests.integration.services import PATIENT_S

LONGEST_WAIT_S = 3.0
BACKEND = "SELECT pg_backend_pid()"


@asynccontextmanager
async def opened(url: str, *, pool_size: int = 4, timeout_s: float = 2.0) -> AsyncIterator[Database]:
    """A database that is started and closed."""
    database = Database(url, pool_size=pool_size, timeout_s=timeout_s)
    await database.start()
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def frozen(server: EmbeddedPostgres) -> AsyncIterator[None]:
    """PostgreSQL and all its backends stand still: connections stay open, and nothing answers."""
    assert server.pid is not None
    postmaster = psutil.Process(server.pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


async def refused_within(database: Database, seconds: float) -> None:
    """Both ways in say DatabaseUnavailable in time."""
    for use in (use_asyncpg, use_sqlalchemy):
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await use(database)
        assert time.monotonic() - started < seconds, use.__name__


async def use_asyncpg(database: Database) -> None:
    """The hot path's way."""
    async with database.transaction() as connection:
        await connection.execute("SELECT 1")


async def use_sqlalchemy(database: Database) -> None:
    """The way of ordinary queries."""
    async with database.session() as session:
        await session.execute(text("SELECT 1"))


async def recovers(database: Database) -> None:
    """Both ways in work again, soon."""
    for use in (use_asyncpg, use_sqlalchemy):
        async with asyncio.timeout(10):
            while True:
                with suppress(DatabaseUnavailable):
                    await use(database)
                    break
                await asyncio.sleep(0.05)


async def killed(server: EmbeddedPostgres) -> None:
    """kill -9, and the backends have seen it: one that is busy answers for a moment longer."""
    assert server.pid is not None
    backends = psutil.Process(server.pid).children(recursive=True)
    server.kill()
    async with asyncio.timeout(10):
        while any(map(_is_there, backends)):
            await asyncio.sleep(0.02)


def _is_there(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def start_again(server: EmbeddedPostgres) -> None:
    """After a kill: the backends that are left hold the shared memory for a moment."""
    async with asyncio.timeout(10):
        while True:
            with suppress(SetupError):
                return server.start()
            await asyncio.sleep(0.1)


async def test_starts_without_postgresql_and_finds_it_later(private_postgres: EmbeddedPostgres) -> None:
    private_postgres.stop()
    async with opened(private_postgres.url) as database:
        await refused_within(database, LONGEST_WAIT_S)
        private_postgres.start()
        await recovers(database)


async def test_a_restart_of_postgresql_needs_none_of_ours(private_postgres: EmbeddedPostgres) -> None:
    async with opened(private_postgres.url) as database:
        await recovers(database)
        await killed(private_postgres)
        await refused_within(database, LONGEST_WAIT_S)
        await start_again(private_postgres)
        await recovers(database)


async def test_a_frozen_postgresql_is_given_up_in_time(private_postgres: EmbeddedPostgres) -> None:
    async with opened(private_postgres.url, pool_size=2) as database:
        await recovers(database)
        async with frozen(private_postgres):
            # First with connections that were open already, then with none.
            await refused_within(database, LONGEST_WAIT_S)
            await refused_within(database, LONGEST_WAIT_S)
        await recovers(database)


async def test_a_crowd_at_a_frozen_postgresql_is_refused_in_time(private_postgres: EmbeddedPostgres) -> None:
    async with opened(private_postgres.url, pool_size=2) as database:
        await recovers(database)
        async with frozen(private_postgres):
            started = time.monotonic()
            users = [use for _ in range(20) for use in (use_asyncpg, use_sqlalchemy)]
            results = await asyncio.gather(*(use(database) for use in users), return_exceptions=True)
            assert time.monotonic() - started < LONGEST_WAIT_S
        assert {type(result) for result in results} == {DatabaseUnavailable}
        await recovers(database)


async def test_a_statement_that_takes_too_long_is_given_up_and_the_connection_replaced(
    database_url: str,
) -> None:
    async with opened(database_url, pool_size=1, timeout_s=0.3) as database:
        with pytest.raises(DatabaseUnavailable):
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(30)")
        await recovers(database)


async def test_a_backend_that_is_killed_is_replaced(database_url: str) -> None:
    async with opened(database_url, pool_size=2) as database:
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction() as connection:
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(DatabaseUnavailable):
            async with database.session() as session:
                await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        await recovers(database)


def kill(server: EmbeddedPostgres, backend: int) -> None:
    """The server, and first the process behind a connection, which would have time for a COMMIT else."""
    os.kill(backend, signal.SIGKILL)
    server.kill()


async def test_a_connection_lost_in_commit_is_told_apart(private_postgres: EmbeddedPostgres) -> None:
    async with opened(private_postgres.url) as database:
        await recovers(database)
        async with database.connection() as connection:
            await connection.execute("CREATE TABLE things (id int)")
        with pytest.raises(CommitUnknown):
            async with database.transaction() as connection:
                await connection.execute("INSERT INTO things VALUES (1)")
                kill(private_postgres, await connection.fetchval(BACKEND))
        await start_again(private_postgres)
        await recovers(database)
        with pytest.raises(CommitUnknown):
            async with database.session() as session:
                await session.execute(text("INSERT INTO things VALUES (2)"))
                kill(private_postgres, (await session.execute(text(BACKEND))).scalar_one())


async def test_a_transaction_is_all_or_nothing(database_url: str) -> None:
    async with opened(database_url) as database:
        async with database.transaction() as connection:
            await connection.execute("CREATE TABLE things (id int PRIMARY KEY)")
        with pytest.raises(asyncpg.UniqueViolationError):
            async with database.transaction() as connection:
                await connection.execute("INSERT INTO things VALUES (1)")
                await connection.execute("INSERT INTO things VALUES (1)")
        with pytest.raises(IntegrityError):
            async with database.session() as session:
                await session.execute(text("INSERT INTO things VALUES (2)"))
                await session.execute(text("INSERT INTO things VALUES (2)"))
        with pytest.raises(KeyError):
            async with database.session() as session:
                await session.execute(text("INSERT INTO things VALUES (3)"))
                raise KeyError
        async with database.session() as session:
            await session.execute(text("INSERT INTO things VALUES (4)"))
        async with database.connection() as connection:
            assert [row["id"] for row in await connection.fetch("SELECT id FROM things")] == [4]


async def test_more_callers_than_connections_take_turns(database_url: str) -> None:
    async with opened(database_url, pool_size=2, timeout_s=PATIENT_S) as database:
        users = [use for _ in range(100) for use in (use_asyncpg, use_sqlalchemy)]
        await asyncio.gather(*(use(database) for use in users))


async def test_a_cancelled_caller_leaves_the_pool_whole(database_url: str) -> None:
    async def sleep_in_postgresql(database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_sleep(30)")

    async def sleep_in_a_session(database: Database) -> None:
        async with database.session() as session:
            await session.execute(text("SELECT pg_sleep(30)"))

    async with opened(database_url, pool_size=2) as database:
        for sleeper in (sleep_in_postgresql, sleep_in_a_session):
            sleeping = [asyncio.create_task(sleeper(database)) for _ in range(2)]
            await asyncio.sleep(0.2)
            for task in sleeping:
                task.cancel()
            results = await asyncio.gather(*sleeping, return_exceptions=True)
            assert {type(result) for result in results} == {asyncio.CancelledError}
        started = time.monotonic()
        await recovers(database)
        assert time.monotonic() - started < 1


async def test_a_transaction_that_is_left_open_is_rolled_back(database_url: str) -> None:
    async with opened(database_url, pool_size=1) as database:
        async with database.connection() as connection:
            await connection.execute("CREATE TABLE things (id int)")
            await connection.execute("BEGIN")
            await connection.execute("INSERT INTO things VALUES (1)")
        async with database.connection() as connection:
            assert not connection.is_in_transaction()
            assert await connection.fetchval("SELECT count(*) FROM things") == 0


async def test_json_columns_are_objects_on_both_ways(database_url: str) -> None:
    value = {"name": "Zoë", "list": [1, 2.5, None, True], "nested": {"a": {}}}
    async with opened(database_url) as database:
        async with database.connection() as connection:
            row = await connection.fetchrow("SELECT $1::jsonb AS b, $1::json AS j", value)
            assert (row["b"], row["j"]) == (value, value)
            rows = await connection.fetch("SELECT * FROM unnest($1::jsonb[]) AS t(v)", [value, None, {}])
            assert [row["v"] for row in rows] == [value, None, {}]
        async with database.session() as session:
            assert (await session.execute(text("SELECT '{\"a\": [1]}'::jsonb"))).scalar() == {"a": [1]}


@pytest.mark.parametrize("value", ["a\x00b", "\ud800"])
async def test_what_postgresql_cannot_store_is_an_error_of_the_data(database_url: str, value: str) -> None:
    async with opened(database_url, pool_size=1) as database:
        for statement, argument in (("SELECT $1::text", value), ("SELECT $1::jsonb", {"a": value})):
            with pytest.raises((asyncpg.DataError, asyncpg.PostgresError)) as caught:
                async with database.connection() as connection:
                    await connection.fetchval(statement, argument)
            assert not isinstance(caught.value, DatabaseUnavailable)
        await recovers(database)


async def test_ping_tells(database_url: str) -> None:
    async with opened(database_url) as database:
        await database.ping()
    missing = database_url + "_missing"
    async with opened(missing) as database:
        with pytest.raises(DatabaseUnavailable):
            await database.ping()
