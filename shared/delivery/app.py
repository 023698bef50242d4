"""A channel service: a parts list, the same for every channel."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from fastapi import Depends, FastAPI

from shared.broker.factory import connect_broker
from shared.broker.interface import Broker
from shared.clients.templates import TemplateClient
from shared.clients.users import UserClient
from shared.database.engine import Database
from shared.delivery.channel import ChannelParts
from shared.delivery.ledger_api import ledger_router
from shared.delivery.provider import ChannelAdapter, Provider
from shared.delivery.settings import ChannelSettings
from shared.process.service_tokens import ServiceTokens
from shared.process.version import VERSION
from shared.web.app import build_app
from shared.web.service_auth import require_service

ContentT = TypeVar("ContentT")


def create_channel_app(
    *,
    settings: ChannelSettings,
    adapter: ChannelAdapter[ContentT],
    providers: Sequence[Provider[ContentT]],
    broker: Broker | None = None,
) -> FastAPI:
    """The app of a channel: consumes its lanes, delivers through `providers`, keeps the ledger.

    It starts whether or not its dependencies are there; /ready names those that are missing.
    """
    tokens = ServiceTokens(settings.service_secret, settings.service_name)
    broker = broker or connect_broker(settings.broker_url, client_name=settings.service_name)
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, timeout_s=settings.database_timeout_s
    )
    parts = ChannelParts(
        settings=settings,
        adapter=adapter,
        providers=providers,
        database=database,
        broker=broker,
        users=UserClient(settings.user_service_url, tokens),
        templates=TemplateClient(settings.template_service_url, tokens, broker=broker),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await parts.start()
        yield
        await parts.close()

    app = build_app(
        settings=settings,
        title=f"Carillon {settings.service_name.replace('_', ' ')}",
        version=VERSION,
        lifespan=lifespan,
        readiness=parts.readiness(),
        internal_only=True,
    )
    app.include_router(
        ledger_router(parts.ledger, database, channel=adapter.channel),
        dependencies=[Depends(require_service(settings.service_name))],
    )
    return app
