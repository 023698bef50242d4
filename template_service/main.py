"""The template service, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from shared.broker.factory import connect_broker
from shared.broker.interface import Broker
from shared.database.engine import Database
from shared.delivery.rendering import Renderer
from shared.process.tasks import BackgroundTasks
from shared.process.version import VERSION
from shared.web.app import build_app
from shared.web.health import Readiness
from shared.web.service_auth import require_service
from template_service.api import releases, templates
from template_service.api.parts import AUDIENCE, Parts
from template_service.api.refusals import answer_refusals
from template_service.domain.announcements import Announcements
from template_service.settings import TemplateServiceSettings


def create_app(settings: TemplateServiceSettings, *, broker: Broker | None = None) -> FastAPI:
    """The app; it connects to nothing before its lifespan begins. A `broker` that is passed in is started
    and closed with it."""
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, timeout_s=settings.database_timeout_s
    )
    broker = broker or connect_broker(settings.broker_url, client_name=settings.service_name)
    announcements = Announcements(broker)
    tasks = BackgroundTasks()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await database.start()
        await broker.start(wait_s=1.0)
        tasks.start("announcements", announcements.run)
        yield
        await tasks.close()
        await broker.close()
        await database.close()

    readiness = Readiness()
    readiness.add("database", database.ping)
    readiness.add("broker", broker.ping)
    app = build_app(
        settings=settings,
        title="Carillon template service",
        version=VERSION,
        lifespan=lifespan,
        readiness=readiness,
        internal_only=True,
    )
    app.state.parts = Parts(
        database=database,
        renderer=Renderer(),
        announcements=announcements,
        default_language=settings.default_language,
    )
    for router in (releases.router, templates.router):
        app.include_router(router, prefix="/internal/v1", dependencies=[Depends(require_service(AUDIENCE))])
    answer_refusals(app)
    return app
