"""Running a service: what `python -m X_service` and `python -m X_service migrate` do."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from shared.database.errors import DatabaseUnavailable
from shared.process import crash_points
from shared.process.logging import configure_logging
from shared.process.settings import DatabaseSettings, ProcessSettings
from shared.process.watchdog import watch
from shared.web.quiet_server import QuietServer

log = structlog.get_logger()

GRACE_S = 20
"""How long requests that are being answered may take once the process was told to stop."""
_ALLOCATIONS_PER_COLLECTION = 20_000
_ACCEPTED_A_ROUND = 8
_KEEP_ALIVE_S = 65
"""Longer than our clients keep an idle connection, so that none of them meets a closed one."""

S = TypeVar("S", bound=ProcessSettings)


def serve(app: FastAPI, settings: ProcessSettings) -> None:
    """Answer until SIGTERM or SIGINT, then finish what is in hand, run the lifespan's end, and return."""
    server = ServiceServer(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # Whoever can reach the port could else choose the address that rate limits go by.
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        ),
        stall_limit_s=settings.stall_limit_s,
        before_stopping=app.state.before_stopping,
    )
    _calm_collector()

    def told_to_stop(*_: object) -> None:
        # Before uvicorn listens to signals itself, and when it raises them again after its work is done.
        server.should_exit = True

    signal.signal(signal.SIGTERM, told_to_stop)
    signal.signal(signal.SIGINT, told_to_stop)
    server.run()
    log.info("service.stopped")


def _calm_collector() -> None:
    """What was made until now stays for good: the collector need not look at it time and again. And a
    request makes hundreds of objects that reference counting frees, so that Python's own threshold (700)
    sends the collector through the heap every few requests, for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_PER_COLLECTION, 20, 50)


class ServiceServer(QuietServer):
    """Says when it listens, in our words; uvicorn's own are logged from warnings upwards. Ends the process
    where its loop stands still."""

    def __init__(
        self, config: uvicorn.Config, *, stall_limit_s: float, before_stopping: Sequence[Callable[[], None]]
    ) -> None:
        super().__init__(config)
        self._stall_limit_s = stall_limit_s
        self._before_stopping = before_stopping
        self._watching: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        if self.started:
            await self._accept_more_at_once()
            self._watching = asyncio.create_task(watch(self._stall_limit_s))
            log.info("service.started", host=self.config.host, port=self.config.port)

    async def _accept_more_at_once(self) -> None:
        """libuv takes one connection from a listener in each round of the loop: under load the last of
        five hundred waited for seconds. So the same socket is listened to several times."""
        loop = asyncio.get_running_loop()

        def create_protocol() -> asyncio.Protocol:
            return self.config.http_protocol_class(  # type: ignore[call-arg] # as uvicorn itself makes them
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )

        for listener in [each for server in self.servers for each in server.sockets]:
            for _ in range(_ACCEPTED_A_ROUND - 1):
                again = socket.socket(fileno=os.dup(listener.fileno()))
                self.servers.append(
                    await loop.create_server(create_protocol, sock=again, backlog=self.config.backlog)
                )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for answers that are under way, after those that would last were told to end."""
        for tell in self._before_stopping:
            tell()
        await super().shutdown(sockets)


def run_service(
    create_app: Callable[[S], FastAPI],
    settings_class: Callable[[], S],
    *,
    migrations: Path | None = None,
    arguments: Sequence[str] | None = None,
) -> int:
    """`__main__` of a service; gives the exit code. Without an argument it serves; with `migrate` it
    creates the database where it is absent and brings it to the newest revision under `migrations`."""
    command = list(sys.argv[1:] if arguments is None else arguments)
    try:
        settings = settings_class()
    except ValidationError as error:
        return _refuse(_sentences(error))
    configure_logging(service=settings.service_name, level=settings.log_level, format=settings.log_format)
    if command == ["migrate"] and migrations is not None and isinstance(settings, DatabaseSettings):
        return _migrate(settings.database_url, migrations)
    if command:
        return _refuse(f"unknown arguments: {' '.join(command)}; there is only `migrate`, or none to serve")
    crash_points.arm(settings.crash_at)
    serve(create_app(settings), settings)
    return 0


def _migrate(url: str, migrations: Path) -> int:
    # Alembic takes a good part of a second to import, which a service that serves (and that is to be back
    # soon after it was killed) need not spend.
    from shared.database.migrations import ensure_database, migrate  # noqa: PLC0415

    async def both() -> None:
        await ensure_database(url)
        await migrate(url, migrations)

    try:
        asyncio.run(both())
    except DatabaseUnavailable as error:
        log.error("database.not_migrated", reason=str(error))
        return 1
    return 0


def _sentences(error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_input=False, include_url=False):
        name = "_".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        parts.append(f"CARILLON_{name.upper()}: {message}" if name else message)
    return "; ".join(parts)


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 2
