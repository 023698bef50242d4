"""What the routes of a service work with: put together in its main.py, kept as `app.state.parts`."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Protocol, TypeVar, cast

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.engine import Database


class HasDatabase(Protocol):
    """The parts of a service with a database of its own."""

    @property
    def database(self) -> Database:
        """Its database."""


PartsT = TypeVar("PartsT", bound=HasDatabase)


def parts_of(kind: type[PartsT]) -> Callable[[Request], PartsT]:
    """A dependency: the app's own parts, which are of this kind."""

    def parts(request: Request) -> PartsT:
        found = request.app.state.parts
        if not isinstance(found, kind):
            raise TypeError(f"app.state.parts is no {kind.__name__}")
        return found

    return parts


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    parts = cast(HasDatabase, request.app.state.parts)
    async with parts.database.session() as session:
        yield session


# Scope `function`: the transaction is committed before the answer goes out, not after.
Session = Annotated[AsyncSession, Depends(_session, scope="function")]
"""One transaction for the request, committed where no error leaves the route."""
