"""The servers under the bench, private to it: PostgreSQL, Redis, RabbitMQ."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ, find_rabbitmq
from carillon.embedded.redis import EmbeddedRedis
from carillon.plan import BROKER_DATABASE
from carillon.services import SERVICES
from carillon.setup_error import SetupError

_BROKER_VARIABLE = "CARILLON_BENCH_BROKER_URL"
# What was written is read from PostgreSQL's log after each run; a checkpoint in the middle would drop it.
_KEEP_LOG = ("ALTER SYSTEM SET wal_keep_size = '1GB'", "SELECT pg_reload_conf()")


class BenchServers:
    """All of them; every system that is measured uses the same, one after another."""

    def __init__(self, folder: Path) -> None:
        self.postgres = EmbeddedPostgres(
            data=folder / "postgres", password=secrets.token_urlsafe(24), log=folder / "postgres.log"
        )
        self.redis = EmbeddedRedis(password=secrets.token_urlsafe(24), log=folder / "redis.log")
        self._rabbitmq: EmbeddedRabbitMQ | None = None
        self._vhosts: set[str] = set()
        self._folder = folder

    def pids(self) -> dict[str, int]:
        """Name and process of each that runs."""
        found = {"postgres": self.postgres.pid, "redis": self.redis.pid}
        if self._rabbitmq is not None:
            found["rabbitmq"] = self._rabbitmq.pid
        return {name: pid for name, pid in found.items() if pid is not None}

    def rabbitmq_url(self, vhost: str) -> str:
        """A fresh virtual host on a node of our own, started when it is first asked for; where none is
        installed, the one of CARILLON_BENCH_BROKER_URL, whose cost is not seen. Never that of
        CARILLON_BROKER_URL: an installation's orders are in it. Raises SetupError."""
        if self._rabbitmq is None and find_rabbitmq() is None:
            given = os.environ.get(_BROKER_VARIABLE, "")
            if given.startswith(("amqp:", "amqps:")):
                return given
            raise SetupError(
                f"RabbitMQ is not installed: install it, name an empty virtual host in {_BROKER_VARIABLE} "
                "(amqp://…), or measure with --broker postgres --no-pipeline."
            )
        if self._rabbitmq is None:
            folder = self._folder / "rabbitmq"
            folder.mkdir(mode=0o755)
            self._rabbitmq = EmbeddedRabbitMQ(folder=folder)
            self._rabbitmq.start()
        self._vhosts.add(vhost)
        return self._rabbitmq.create_vhost(vhost)

    def forget_installation(self) -> None:
        """Drop what an installation has left in PostgreSQL and RabbitMQ: the next system shall have servers
        with nothing in them. On a RabbitMQ that is not ours everything stays."""
        for database in (*(service.database for service in SERVICES), BROKER_DATABASE):
            self.postgres.run_sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        if self._rabbitmq is not None:
            for vhost in self._vhosts:
                with contextlib.suppress(TimeoutError):  # of a great many messages; the node goes on with it
                    self._rabbitmq.delete_vhost(vhost)
        self._vhosts.clear()

    def versions(self) -> dict[str, str]:
        """Of those that run."""
        found = {"postgresql": self.postgres.run_sql("SHOW server_version")}
        if self._rabbitmq is not None:
            found["rabbitmq"] = self._rabbitmq.version
        return found

    def close(self) -> None:
        """End all of them."""
        if self._rabbitmq is not None:
            self._rabbitmq.close()
        self.redis.stop()
        self.postgres.stop()


@contextlib.contextmanager
def running_servers(folder: Path) -> Iterator[BenchServers]:
    """PostgreSQL and Redis run, RabbitMQ when asked for; all are ended. Raises SetupError."""
    servers = BenchServers(folder)
    try:
        servers.postgres.start()
        for statement in _KEEP_LOG:
            servers.postgres.run_sql(statement)
        servers.redis.start()
        yield servers
    finally:
        servers.close()
