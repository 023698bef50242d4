"""The servers behind the services: embedded ones, or those that the person has named."""

import asyncio
from collections.abc import Sequence

from carillon.console import MergedLog
from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.redis import EmbeddedRedis
from carillon.home import Home
from carillon.plan import BROKER_DATABASE, Servers, with_database
from carillon.settings import UpSettings
from carillon.setup_error import SetupError
from shared.database.errors import DatabaseUnavailable
from shared.database.migrations import ensure_database

EmbeddedServer = EmbeddedPostgres | EmbeddedRedis
_LOOK_EVERY_S = 0.5
_PAUSE_S = 2.0


class EmbeddedServers:
    """Those that are ours to run."""

    def __init__(self, *, settings: UpSettings, home: Home, log: MergedLog) -> None:
        self._settings = settings
        self._home = home
        self._log = log
        self._running: list[tuple[str, EmbeddedServer]] = []

    async def start(self) -> Servers:
        """Start what nobody has named a server for. Raises SetupError."""
        database_url = self._settings.database_url or await self._start_postgres()
        redis_url = self._settings.redis_url or await self._start_redis()
        broker_url = self._settings.broker_url
        if broker_url is None:
            broker_url = with_database(database_url, BROKER_DATABASE)
        if broker_url.startswith(("postgres:", "postgresql:")):
            try:
                await ensure_database(broker_url)
            except DatabaseUnavailable as error:
                raise SetupError(f"The database server cannot be used: {error}.") from error
        return Servers(database_url=database_url, broker_url=broker_url, redis_url=redis_url)

    async def watch(self) -> None:
        """Start again what dies. From the main thread, see `child.die_with_parent`."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            for name, server in self._running:
                if server.pid is None:
                    await self._start_again(name, server)

    def stop(self) -> None:
        """End them in order, the database last."""
        while self._running:
            _, server = self._running.pop()
            server.stop()

    def processes(self) -> Sequence[tuple[str, int]]:
        """Name and process id of each that a later start may simply end. PostgreSQL is left out: it has an
        end of its own, see `embedded.postmaster`."""
        return [
            (name, server.pid)
            for name, server in self._running
            if server.pid is not None and not isinstance(server, EmbeddedPostgres)
        ]

    async def _start_postgres(self) -> str:
        server = EmbeddedPostgres(
            data=self._home.postgres_folder(),
            password=self._home.secret("postgres_password"),
            log=self._home.log_path("postgres"),
        )
        if self._home.folder not in server.data.parents:
            self._log.say(
                f"PostgreSQL does not run as root: its data are in {server.data}, under another account.",
                style="",
            )
        await self._start("postgres", server)
        return server.url

    async def _start_redis(self) -> str:
        server = EmbeddedRedis(password=self._home.secret("redis_password"), log=self._home.log_path("redis"))
        await self._start("redis", server)
        return server.url

    async def _start(self, name: str, server: EmbeddedServer) -> None:
        self._running.append((name, server))
        server.spawn()
        await asyncio.to_thread(server.wait_ready)
        self._log.say(f"{name} runs on port {server.port}", style="")

    async def _start_again(self, name: str, server: EmbeddedServer) -> None:
        self._log.say(f"{name} has ended; starting it again", style="red")
        try:
            server.spawn()
            await asyncio.to_thread(server.wait_ready)
        except SetupError as error:
            self._log.say(str(error), style="red")
            await asyncio.sleep(_PAUSE_S)
