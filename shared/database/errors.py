"""What the database can raise, and where the errors of asyncpg and SQLAlchemy become it.

DatabaseError
├── DatabaseUnavailable      not reachable, not answering in time, or the connection was lost
│   └── CommitUnknown        … during COMMIT: what was written may or may not be there
└── Overloaded               more waits for a group commit than may wait

Everything else (a violated constraint, a value PostgreSQL refuses) stays what it is.
"""

import asyncpg
import sqlalchemy.exc

_GONE: tuple[type[BaseException], ...] = (
    OSError,  # includes TimeoutError: refused, reset, no answer in time
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database takes no connections at the moment
    asyncpg.InsufficientResourcesError,  # class 53: too many connections, disk full, out of memory
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, in the middle of a failover
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


class DatabaseError(Exception):
    """The root."""


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL is away, or does not answer in time. A single statement outside of a transaction may have
    been carried out all the same."""


class CommitUnknown(DatabaseUnavailable):
    """The connection broke during COMMIT."""


class Overloaded(DatabaseError):
    """Too much waits to be written; nothing of it was."""


def unavailability(error: BaseException) -> DatabaseUnavailable | None:
    """The DatabaseUnavailable that `error` amounts to, of whichever library it is; None for other errors.
    The reason names the kind of error, never the statement, its parameters or the URL."""
    if isinstance(error, DatabaseUnavailable):
        return error
    driver_error = _driver_error(error)
    if isinstance(driver_error, _GONE) or _says_closed(driver_error):
        return DatabaseUnavailable(f"PostgreSQL is not available: {type(driver_error).__name__}")
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return DatabaseUnavailable("PostgreSQL is not available: every connection is in use")
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.connection_invalidated:
        return DatabaseUnavailable("PostgreSQL is not available: the connection was lost")
    return None


def _driver_error(error: BaseException) -> BaseException:
    """SQLAlchemy wraps the driver's error twice: `DBAPIError.orig`, whose cause is asyncpg's own."""
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def _says_closed(error: BaseException) -> bool:
    """asyncpg has one class for misuse and for a connection or pool that is closed; the text tells."""
    return (
        isinstance(error, asyncpg.InterfaceError)
        and not isinstance(error, asyncpg.DataError)
        and ("clos" in str(error))
    )
