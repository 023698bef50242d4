"""The servers under the experiment, private to it, and what can be done to them."""

import asyncio
import contextlib
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import redis

from carillon.embedded import ports
from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from carillon.embedded.redis import EmbeddedRedis
from carillon.home import CHECKOUT
from carillon.migrations import migrate_server
from carillon.plan import BROKER_DATABASE, Servers
from carillon.prove.small_disk import SmallDisk
from carillon.setup_error import SetupError

_STARTS_WITHIN_S = 60.0
_TRY_EVERY_S = 0.1


class ProofServers:
    """PostgreSQL and Redis, and RabbitMQ where it carries the messages. PostgreSQL's data lie on `disk`, if
    there is one."""

    def __init__(self, folder: Path, *, rabbitmq: bool, disk: SmallDisk | None = None) -> None:
        self.disk = disk
        self.postgres = EmbeddedPostgres(
            data=(disk.folder if disk else folder) / "postgres",
            password=secrets.token_urlsafe(24),
            log=folder / "postgres.log",
        )
        self.redis = EmbeddedRedis(password=secrets.token_urlsafe(24), log=folder / "redis.log")
        self.rabbitmq: EmbeddedRabbitMQ | None = None
        if rabbitmq:
            home = folder / "rabbitmq"
            home.mkdir(mode=0o755)
            self.rabbitmq = EmbeddedRabbitMQ(folder=home)

    def start(self) -> None:
        """All of them, the databases up to date: RabbitMQ takes as long as that to get ready. From the main
        thread. Raises SetupError."""
        self.postgres.start()
        self.redis.start()
        with ThreadPoolExecutor(max_workers=1) as thread:
            migrated = thread.submit(asyncio.run, migrate_server(self.postgres.url, folder=CHECKOUT))
            if self.rabbitmq is not None:
                self.rabbitmq.start()
            migrated.result()

    def addresses(self) -> Servers:
        """As the services are told of them."""
        return Servers(
            database_url=self.postgres.url,
            broker_url=self.rabbitmq.url() if self.rabbitmq else self.postgres.database_url(BROKER_DATABASE),
            redis_url=self.redis.url,
        )

    def ports(self) -> dict[str, int]:
        """Where each listens, by the name of its wire; the same after each restart."""
        database, cache = self.postgres.port or 0, self.redis.port or 0
        broker = self.rabbitmq.port if self.rabbitmq is not None else database
        return {"postgres": database, "broker": broker, "redis": cache}

    def kill_postgres(self) -> None:
        """kill -9 of the postmaster, and back as soon as its backends have noticed."""
        self.postgres.kill()
        _back(self.postgres)

    def revive_postgres(self) -> None:
        """Where it has given up by itself; on the same port. Raises SetupError."""
        if self.postgres.pid is None:
            _back(self.postgres)

    @contextlib.contextmanager
    def frozen_postgres(self) -> Iterator[None]:
        """Server and backends stand still: connections stay open, and nothing answers."""
        postmaster = psutil.Process(self.postgres.pid)
        processes = [postmaster, *postmaster.children(recursive=True)]
        with _woken_without_us([process.pid for process in processes]):
            for process in processes:
                process.suspend()
            try:
                yield
            finally:
                for process in processes:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.resume()

    def kill_broker(self) -> None:
        """RabbitMQ: kill -9, and back. PostgreSQL: every connection to the broker's database is ended."""
        if self.rabbitmq is not None:
            self.rabbitmq.kill()
            _back(self.rabbitmq)
            return
        self.postgres.run_sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "  # noqa: S608 -- a constant
            f"WHERE datname = '{BROKER_DATABASE}' AND pid <> pg_backend_pid()"
        )

    def wipe_broker(self) -> None:
        """Everything it held is gone: queues, exchanges, sentinel."""
        if self.rabbitmq is not None:
            self.rabbitmq.delete_vhost("/")
            self.rabbitmq.create_vhost("/")
            return
        # The services make it anew.
        self.postgres.run_sql(f"DROP DATABASE {BROKER_DATABASE} WITH (FORCE)")

    def flush_redis(self) -> None:
        """FLUSHALL."""
        with redis.Redis.from_url(self.redis.url, socket_timeout=5) as client:
            client.flushall()

    def kill_redis(self) -> None:
        """kill -9, and back on the same port."""
        self.redis.kill()
        _back(self.redis)

    def versions(self) -> dict[str, str]:
        """Of those that run."""
        found = {"postgresql": self.postgres.run_sql("SHOW server_version")}
        if self.rabbitmq is not None:
            found["rabbitmq"] = self.rabbitmq.version
        return found

    def close(self) -> None:
        """End all of them; their data are of no use to anybody."""
        if self.rabbitmq is not None:
            self.rabbitmq.close()
        self.redis.stop()
        self.postgres.kill()


@contextlib.contextmanager
def _woken_without_us(pids: Sequence[int]) -> Iterator[None]:
    """Where we are killed meanwhile, a process that outlives us wakes them, so that they hear that it is
    over: who stands still ends by no signal but kill -9."""
    with subprocess.Popen(
        ["/bin/sh", "-c", 'cat; exec kill -CONT "$@"', "sh", *(str(pid) for pid in pids)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    ) as guard:
        try:
            yield
        finally:
            guard.kill()


def _back(server: EmbeddedPostgres | EmbeddedRedis | EmbeddedRabbitMQ) -> None:
    """On its own port, and with its own memory: both may be held for a moment by a dead one's children."""
    deadline, port = time.monotonic() + _STARTS_WITHIN_S, server.port
    while True:
        if port is None or ports.is_free(port):
            with contextlib.suppress(SetupError):
                return server.start()
        if time.monotonic() > deadline:
            raise SetupError(f"A server that was killed does not come back (log: {server.log}).")
        time.sleep(_TRY_EVERY_S)
