"""The servers that tests run against: real ones, private to this test run, gone afterwards."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ, find_rabbitmq
from carillon.embedded.redis import EmbeddedRedis
from carillon.setup_error import SetupError
from shared.database.migrations import migrate
from tests.debian import install, may_install
from tests.given_servers import GivenPostgres, GivenRabbitMQ, major_version
from tests.rabbitmq_container import ContainerRabbitMQ, docker_answers
from tests.rabbitmq_unpacked import UnpackedRabbitMQ

PASSWORD = "tests"

_MEMORY = Path("/dev/shm")
_OURS = "carillon-tests-"
_PLENTY = 4 * 2**30
"""Bytes: more than all servers of a run have at a time."""


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder that other accounts reach too: as root, servers run under an account of their own. It lies in
    memory where there is plenty: a database of a test's own takes half a second on some disks."""
    memory = _MEMORY if _has_plenty(_MEMORY) else None
    folder = Path(tempfile.mkdtemp(prefix=f"{_OURS}{os.getpid()}-", dir=memory))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres(folder: Path, *, durable: bool) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server. Without `durable` it is faster, and does not survive a kill."""
    server = EmbeddedPostgres(
        data=folder / "postgres", password=PASSWORD, log=folder / "postgres.log", durable=durable
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def shared_postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL of CARILLON_TEST_DATABASE_URL, else one of ours, for tests that leave it running."""
    if given := os.environ.get("CARILLON_TEST_DATABASE_URL"):
        other = GivenPostgres(given)
        other.start()
        yield other
    else:
        with running_postgres(folder, durable=False) as server:
            yield server


@contextmanager
def fresh_database(server: EmbeddedPostgres, *, template: str = "template1") -> Iterator[str]:
    """The URL of a copy of `template`, by default empty; dropped afterwards even where connections are left
    open."""
    name = f"test_{uuid4().hex}"
    # By default PostgreSQL writes the whole copy to its WAL as well, which takes five times as long.
    server.run_sql(f"create database {name} template {template} strategy file_copy")
    try:
        yield server.database_url(name)
    finally:
        if server.pid is not None or isinstance(server, GivenPostgres):
            server.run_sql(f"drop database {name} with (force)")


class MigratedDatabases:
    """Databases as a service's `migrate` leaves them: migrated once and then copied, which is quicker."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._templates: dict[Path, str] = {}

    def fresh(self, migrations: Path) -> AbstractContextManager[str]:
        """The URL of a database of its own; `migrations` is the folder with `versions`."""
        template = self._templates.get(migrations)
        if template is None:
            template = f"migrated_{uuid4().hex}"
            self._server.run_sql(f"create database {template}")
            with ThreadPoolExecutor(max_workers=1) as thread:  # whoever asks may have an event loop
                thread.submit(asyncio.run, migrate(self._server.database_url(template), migrations)).result()
            self._templates[migrations] = template
        return fresh_database(self._server, template=template)


@contextmanager
def running_redis(folder: Path) -> Iterator[EmbeddedRedis]:
    """A Redis server."""
    server = EmbeddedRedis(password=PASSWORD, log=folder / "redis.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[EmbeddedRabbitMQ]:
    """A RabbitMQ node to start and stop at will: from the PATH, from Docker, or from Debian's packages, which
    are installed by root, else unpacked. Where there is none the test is skipped, or fails with CI=true."""
    server: EmbeddedRabbitMQ = EmbeddedRabbitMQ(folder=folder)
    if find_rabbitmq() is None:
        if docker_answers():
            server = ContainerRabbitMQ(folder=folder)
        elif may_install():
            install("rabbitmq-server", program="rabbitmq-server")
        else:
            server = UnpackedRabbitMQ(folder=folder)
    with _started(server):
        yield server


@contextmanager
def shared_rabbitmq(folder: Path) -> Iterator[EmbeddedRabbitMQ]:
    """The RabbitMQ of CARILLON_TEST_AMQP_URL, else one of ours, for tests that leave it running."""
    if given := os.environ.get("CARILLON_TEST_AMQP_URL"):
        with _started(GivenRabbitMQ(given)) as server:
            yield server
    else:
        with running_rabbitmq(folder) as server:
            yield server


@contextmanager
def shared_rabbitmq_4(folder: Path) -> Iterator[EmbeddedRabbitMQ]:
    """RabbitMQ 4.x: of CARILLON_TEST_RABBITMQ4_URL, else unpacked from Debian 13's packages. Where there is
    none to be had the test is skipped, on CI too: not every machine that can build Carillon is a Debian."""
    given = os.environ.get("CARILLON_TEST_RABBITMQ4_URL")
    server = GivenRabbitMQ(given) if given else UnpackedRabbitMQ(folder=folder)
    try:
        try:
            server.start()
        except SetupError as error:
            if given:
                pytest.fail(str(error), pytrace=False)
            pytest.skip(f"Nothing was tried on RabbitMQ 4: {error} CARILLON_TEST_RABBITMQ4_URL names one.")
        if major_version(server) < 4:
            pytest.fail("CARILLON_TEST_RABBITMQ4_URL leads to an older RabbitMQ.", pytrace=False)
        yield server
    finally:
        server.close()


@contextmanager
def fresh_vhost(server: EmbeddedRabbitMQ) -> Iterator[str]:
    """The AMQP URL of a virtual host of its own, removed afterwards: to a client, a broker of its own."""
    name = f"test-{uuid4().hex}"
    yield server.create_vhost(name)
    server.delete_vhost(name)


@contextmanager
def _started(server: EmbeddedRabbitMQ) -> Iterator[EmbeddedRabbitMQ]:
    try:
        try:
            server.start()
        except SetupError as error:
            not_to_be_had(str(error))
        yield server
    finally:
        server.close()


def clear_memory() -> None:
    """Remove what runs that were killed have left in it."""
    for folder in _MEMORY.glob(f"{_OURS}*-*"):
        owner = folder.name.removeprefix(_OURS).partition("-")[0]
        if not (owner.isdecimal() and psutil.pid_exists(int(owner))):
            shutil.rmtree(folder, ignore_errors=True)


def _has_plenty(memory: Path) -> bool:
    """Whether it is there, roomy, and programs may be copied into it and run."""
    try:
        found = os.statvfs(memory)
    except OSError:
        return False
    runs = os.access(memory, os.W_OK) and not found.f_flag & os.ST_NOEXEC
    return runs and found.f_bavail * found.f_frsize >= _PLENTY


def not_to_be_had(reason: str) -> None:
    """Skip loudly; on CI nothing is skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(f"{reason} CARILLON_TEST_AMQP_URL names one for most of the tests.")
