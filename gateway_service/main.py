"""The gateway, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request

from gateway_service.api import (
    api_keys,
    auth,
    failure_jobs,
    failures,
    notification_reads,
    notifications,
    resolving,
    templates,
    users,
)
from gateway_service.api.access import AccessControl
from gateway_service.api.client_address import client_address
from gateway_service.console.console import Console
from gateway_service.console.cookies import session_credentials
from gateway_service.console.paths import FORMS, LIVE
from gateway_service.domain.acceptance import Acceptance
from gateway_service.domain.backlog import Backlog
from gateway_service.domain.batches import Batches
from gateway_service.domain.failures import Failures
from gateway_service.domain.reading import Reading
from gateway_service.domain.recipients import LOOKUP_TIMEOUT_S
from gateway_service.domain.reprocess_jobs import ReprocessJobs
from gateway_service.domain.reprocessing import Reprocessing
from gateway_service.domain.resolving import Resolving
from gateway_service.domain.sending import Sending
from gateway_service.domain.submission import Submissions
from gateway_service.messaging.backlog import BacklogWatch
from gateway_service.messaging.post import Pace, PostOffice
from gateway_service.settings import GatewaySettings
from shared.broker.factory import connect_broker
from shared.broker.interface import Broker
from shared.clients.ledgers import LedgerClient
from shared.clients.peer import PATIENCE_S
from shared.clients.templates import TemplateClient
from shared.clients.users import RecipientLookup, UserClient
from shared.database.engine import Database
from shared.process.clock import Clock, SystemClock
from shared.process.service_tokens import ServiceTokens
from shared.process.version import VERSION
from shared.web.admission import Admission
from shared.web.app import build_app
from shared.web.health import Readiness

API = "/api/v1"


def create_app(
    settings: GatewaySettings,
    *,
    clock: Clock | None = None,
    broker: Broker | None = None,
    user_client: UserClient | None = None,
    template_client: TemplateClient | None = None,
    ledger_client: LedgerClient | None = None,
    service_transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """The app; it connects to nothing before its lifespan begins, and starts whether or not its
    dependencies are there. What is passed in is started and closed with it."""
    clock = clock or SystemClock()
    tokens = ServiceTokens(settings.service_secret, settings.service_name)
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, timeout_s=settings.database_timeout_s
    )
    broker = broker or connect_broker(settings.broker_url, client_name=settings.service_name)
    user_client = user_client or UserClient(
        settings.user_service_url, tokens, lookup_timeout_s=LOOKUP_TIMEOUT_S
    )
    template_client = template_client or TemplateClient(
        settings.template_service_url, tokens, broker=broker, patience_s=PATIENCE_S
    )
    ledger_client = ledger_client or LedgerClient(settings.channel_urls, tokens)
    recipients = RecipientLookup(user_client, patience_s=PATIENCE_S)
    access = AccessControl(settings, user_client)
    post = PostOffice(
        database=database,
        broker=broker,
        users=user_client,
        templates=template_client,
        ledgers=ledger_client,
        clock=clock,
        pace=Pace(
            interval_s=settings.sweep_interval_s,
            ask_after_s=settings.ask_after_s,
            keep_months=settings.keep_months,
        ),
    )
    submissions = Submissions(database, post.relay, within_s=settings.database_timeout_s)
    backlog = Backlog(clock)
    backlog_watch = BacklogWatch(database, backlog, settings.backlog_limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await database.start()
        await broker.start(wait_s=None)
        for part in (template_client, submissions, post, backlog_watch):
            await part.start()
        yield
        await console.close()
        await backlog_watch.close()
        await post.close(submissions)
        for last in (recipients, access, template_client, user_client, ledger_client, broker, database):
            await last.close()

    readiness = _readiness(database, post, access, users=user_client, templates=template_client)
    app = build_app(
        settings=settings,
        title="Carillon",
        version=VERSION,
        lifespan=lifespan,
        readiness=readiness,
        internal_only=False,
        form_paths=(API + auth.TOKEN_PATH, FORMS),
        body_timeout_s=settings.body_timeout_s,
        admission=Admission(
            places=settings.places,
            places_per_caller=settings.places_per_caller,
            bulk_paths=frozenset({API + notifications.BATCH_PATH}),
            cookie_credentials=session_credentials,
            stream_paths=frozenset({LIVE}),
            caller_address=lambda scope: client_address(Request(scope), settings.trusted_proxies),
        ),
    )
    app.state.access = access
    app.state.templates = template_client
    app.state.sending = Sending(
        acceptance=Acceptance(
            templates=template_client, clock=clock, categories=frozenset(settings.categories)
        ),
        submissions=submissions,
        batches=Batches(database, post.relay, clock),
        recipients=recipients,
        users=user_client,
        backlog=backlog,
    )
    app.state.reading = Reading(database, clock)
    app.state.resolving = Resolving(database, clock)
    app.state.failures = Failures(database)
    app.state.reprocessing = Reprocessing(
        database, clock, failures=app.state.failures, templates=template_client, recipients=user_client
    )
    app.state.reprocess_jobs = ReprocessJobs(database, clock)
    for routes in (
        notifications,
        notification_reads,
        resolving,
        failure_jobs,
        failures,
        auth,
        api_keys,
        users,
        templates,
    ):
        app.include_router(routes.router, prefix=API)
    app.include_router(auth.well_known_router)
    console = Console(
        settings,
        database=database,
        broker=broker,
        failures=app.state.failures,
        readiness=readiness,
        clock=clock,
        services=service_transport,
    )
    console.add_to(app)
    return app


def _readiness(
    database: Database,
    post: PostOffice,
    access: AccessControl,
    *,
    users: UserClient,
    templates: TemplateClient,
) -> Readiness:
    """Every dependency by name."""
    readiness = Readiness()
    readiness.add("database", database.ping)
    readiness.add("broker", post.check_broker)
    readiness.add("user_service", users.ping)
    readiness.add("template_service", templates.ping)
    readiness.add("redis", access.limits.ping, required=False)
    readiness.add_breakers(users.breaker, templates.breaker)
    return readiness
