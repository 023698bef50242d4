"""What the routes work with, put together in main.py and handed over on the app's state."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.engine import Database
from shared.delivery.rendering import Renderer
from template_service.domain.announcements import Announcements

AUDIENCE = "template_service"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Adapters and domain objects of one app."""

    database: Database
    renderer: Renderer
    announcements: Announcements
    default_language: str


def _parts(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


CurrentParts = Annotated[Parts, Depends(_parts)]


async def _session(parts: CurrentParts) -> AsyncIterator[AsyncSession]:
    async with parts.database.session() as session:
        yield session


# Scope `function`: the transaction is committed before the answer goes out, not after.
Session = Annotated[AsyncSession, Depends(_session, scope="function")]
"""One transaction for the request, committed where no error leaves the route."""
