"""The console, put together: what its routes share, and how they are added to the gateway."""

import httpx
from fastapi import FastAPI

from gateway_service.console import causes, failures, jobs, login, notifications, overview
from gateway_service.console.guard import ConsoleGuard
from gateway_service.console.live import Live
from gateway_service.console.paths import ROOT
from gateway_service.console.rendering import Renderer
from gateway_service.console.route import ConsoleRoute
from gateway_service.console.session import Sessions
from gateway_service.console.statics import Statics, static_router
from gateway_service.console.watcher import WATCHER
from gateway_service.domain.failures import Failures
from gateway_service.domain.overview import Overview
from gateway_service.domain.service_states import ServiceStates
from gateway_service.settings import GatewaySettings
from shared.broker.interface import Broker
from shared.database.engine import Database
from shared.process.clock import Clock
from shared.web.health import Readiness


class Console:
    """Lives on `app.state.console`. Connects to nothing until somebody looks. `services` replaces the way to
    the other services' /ready."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        database: Database,
        broker: Broker,
        failures: Failures,
        readiness: Readiness,
        clock: Clock,
        services: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._services = ServiceStates(
            (settings.service_name, readiness),
            {
                "user_service": settings.user_service_url,
                "template_service": settings.template_service_url,
                **{f"{channel.value}_service": url for channel, url in settings.channel_urls.items()},
            },
            transport=services,
        )
        self.overview = Overview(
            database=database,
            broker=broker,
            failures=failures,
            viewer=WATCHER,
            services=self._services.all,
            clock=clock,
        )
        self.statics = Statics()
        self.renderer = Renderer(self.statics)
        self.sessions = Sessions(settings)
        self.live = Live()

    def add_to(self, app: FastAPI) -> None:
        """Its pages, at /console; its streams end when the process is told to stop."""
        app.add_middleware(ConsoleGuard, renderer=self.renderer)
        app.state.console = self
        app.state.before_stopping.append(self.live.stop)
        for router in (
            static_router(self.statics, route_class=ConsoleRoute),
            login.router,
            overview.router,
            notifications.router,
            causes.router,
            failures.router,
            jobs.router,
            overview.rest,  # what matches any address comes last
        ):
            app.include_router(router, prefix=ROOT, include_in_schema=False)

    async def close(self) -> None:
        """End what is left."""
        self.live.stop()
        await self._services.close()
