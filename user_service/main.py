"""The user service, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from fastapi import Depends, FastAPI

from shared.database.engine import Database
from shared.process.clock import Clock, SystemClock
from shared.process.version import VERSION
from shared.web.app import build_app
from shared.web.health import Readiness
from shared.web.service_auth import require_service
from user_service.api import api_keys, auth, recipients, users
from user_service.api.parts import AUDIENCE, Parts
from user_service.api.refusals import answer_refusals
from user_service.domain.access_tokens import AccessTokens, SigningKey, new_signing_key, read_signing_keys
from user_service.domain.accounts import Accounts
from user_service.domain.passwords import Passwords
from user_service.settings import UserServiceSettings

log = structlog.get_logger()


def create_app(settings: UserServiceSettings, *, clock: Clock | None = None) -> FastAPI:
    """The app; it connects to nothing before its lifespan begins. Raises UnusableSigningKey."""
    clock = clock or SystemClock()
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, timeout_s=settings.database_timeout_s
    )
    access_tokens = AccessTokens(_signing_keys(settings), clock=clock, ttl_s=settings.access_token_ttl_s)
    passwords = Passwords(rounds=settings.password_rounds)
    accounts = Accounts(
        database=database,
        passwords=passwords,
        access_tokens=access_tokens,
        clock=clock,
        refresh_ttl=timedelta(seconds=settings.refresh_token_ttl_s),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await database.start()
        yield
        await database.close()

    readiness = Readiness()
    readiness.add("database", database.ping)
    app = build_app(
        settings=settings,
        title="Carillon user service",
        version=VERSION,
        lifespan=lifespan,
        readiness=readiness,
        internal_only=True,
    )
    app.state.parts = Parts(
        database=database, accounts=accounts, passwords=passwords, access_tokens=access_tokens
    )
    app.include_router(auth.public_router)
    for router in (auth.router, users.router, api_keys.router, recipients.router):
        app.include_router(router, prefix="/internal/v1", dependencies=[Depends(require_service(AUDIENCE))])
    answer_refusals(app)
    return app


def _signing_keys(settings: UserServiceSettings) -> tuple[SigningKey, ...]:
    if settings.token_signing_key_file is None:
        log.warning("signing_key.temporary", reason="CARILLON_TOKEN_SIGNING_KEY_FILE is not set")
        return (new_signing_key(),)
    return read_signing_keys(settings.token_signing_key_file)
