"""Servers that somebody else runs, such as the pipeline's service containers: not ours to start and stop."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import aiormq
import asyncpg
import httpx

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from carillon.setup_error import SetupError

_NOWHERE = Path("/nonexistent")
_MANAGEMENT_ABOVE_AMQP = 10_000
_TIMEOUT_S = 10.0

T = TypeVar("T")


class GivenPostgres(EmbeddedPostgres):
    """PostgreSQL by a URL whose account may create databases."""

    def __init__(self, url: str) -> None:
        super().__init__(data=_NOWHERE, password="", log=_NOWHERE)
        self._given = urlsplit(url)
        self.port = self._given.port

    def database_url(self, database: str) -> str:
        """The URL of one database, whether it exists or not."""
        return urlunsplit(self._given._replace(path=f"/{database}"))

    def start(self) -> None:
        """See that it is there. Raises OSError or asyncpg's exceptions."""
        self.run_sql("select 1")

    def stop(self) -> None:
        """Leave it as it is."""

    def run_sql(self, statement: str, *, database: str = "postgres") -> str:
        """What `psql -At` would print."""

        async def ask() -> str:
            connection = await asyncpg.connect(self.database_url(database), timeout=_TIMEOUT_S)
            try:
                rows = await connection.fetch(statement)
            finally:
                await connection.close()
            return "\n".join("|".join(str(value) for value in row) for row in rows)

        return _in_a_thread(ask())


class GivenRabbitMQ(EmbeddedRabbitMQ):
    """RabbitMQ by a URL of an administrator. The management plugin, which makes virtual hosts, is expected as
    far above its port as it usually is: 15672 to 5672."""

    def __init__(self, url: str) -> None:
        super().__init__(folder=_NOWHERE)
        self._given = urlsplit(url)
        self.port = self._given.port or 5672

    def url(self, vhost: str = "/") -> str:
        """The AMQP URL of one virtual host."""
        return urlunsplit(self._given._replace(path=f"/{quote(vhost, safe='')}"))

    def start(self) -> None:
        """See that it is there. Raises SetupError."""
        try:
            self._management("GET", "overview")
        except httpx.HTTPError as error:
            raise SetupError(f"The RabbitMQ that was given does not answer: {error}") from error

    def close(self) -> None:
        """Leave it as it is."""

    def create_vhost(self, name: str) -> str:
        """A fresh virtual host, where whoever makes it may do everything; its AMQP URL."""
        self._management("PUT", f"vhosts/{quote(name, safe='')}")
        return self.url(name)

    def _management(self, method: str, path: str, body: bytes | None = None) -> None:
        httpx.request(
            method,
            f"http://{self._given.hostname}:{self.port + _MANAGEMENT_ABOVE_AMQP}/api/{path}",
            auth=(self._given.username or "guest", self._given.password or "guest"),
            content=body,
            headers={"Content-Type": "application/json"},
            timeout=_TIMEOUT_S,
            trust_env=False,
        ).raise_for_status()


def major_version(server: EmbeddedRabbitMQ) -> int:
    """As the node introduces itself."""

    async def ask() -> str:
        connection = await aiormq.connect(server.url())
        try:
            said = connection.server_properties["version"]
            return said.decode() if isinstance(said, bytes) else str(said)
        finally:
            await connection.close()

    return int(_in_a_thread(ask()).split(".")[0])


def _in_a_thread(question: Coroutine[object, object, T]) -> T:
    """Whoever asks may have an event loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, question).result()
