"""The mailbox as an application: a parts list."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from carillon.mailbox.api import mail_routes
from carillon.mailbox.settings import MailboxSettings
from carillon.mailbox.smtp import listen
from carillon.mailbox.store import MailStore
from carillon.pages.site import page_routes
from shared.process.clock import SystemClock


def create_app(settings: MailboxSettings) -> FastAPI:
    """The page and the JSON; SMTP is taken for as long as the application runs."""
    store = MailStore(
        capacity=settings.mailbox_capacity,
        capacity_bytes=settings.mailbox_capacity_bytes,
        now=SystemClock().now,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        server = await listen(
            store,
            host=settings.host,
            port=settings.mailbox_smtp_port,
            size_limit=settings.mailbox_size_limit,
        )
        yield
        server.close()

    app = FastAPI(title="Carillon mailbox", lifespan=lifespan, openapi_url=None)
    app.include_router(mail_routes(store))
    app.include_router(page_routes("mailbox"))
    return app
