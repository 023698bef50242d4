"""The embedded servers: safe data, no process left behind, one sentence for what is in the way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from carillon.embedded import ports
from carillon.embedded.child import stop
from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.postmaster import clear_stale_postmaster
from carillon.embedded.redis import EmbeddedRedis
from carillon.home import CHECKOUT
from carillon.setup_error import SetupError
from tests import servers

PATIENCE_S = 15.0
RUN_SERVER = """
import sys, time
from pathlib import Path
from carillon.embedded.postgres import EmbeddedPostgres
folder = Path(sys.argv[1])
server = EmbeddedPostgres(data=folder / "postgres", password="tests", log=folder / "postgres.log")
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""

STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with servers.server_folder() as made:
        yield made


def a_server(folder: Path, *, port: int | None = None) -> EmbeddedPostgres:
    return EmbeddedPostgres(
        data=folder / "postgres", password="tests", log=folder / "postgres.log", port=port
    )


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def gone(pids: list[int]) -> bool:
    return not any(runs(pid) for pid in pids)


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def test_what_was_committed_survives_kill_9(private_postgres: EmbeddedPostgres) -> None:
    private_postgres.run_sql("create table kept (n int)")
    private_postgres.run_sql("insert into kept values (42)")
    private_postgres.kill()
    private_postgres.start()
    assert private_postgres.run_sql("select n from kept") == "42"


def test_the_database_is_safe_by_its_settings(private_postgres: EmbeddedPostgres) -> None:
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert private_postgres.run_sql(f"show {setting}") == "on"


def test_a_wrong_password_is_refused(private_postgres: EmbeddedPostgres) -> None:
    stranger = a_server(Path("/nonexistent"), port=private_postgres.port)
    stranger._password = "guessed"
    stranger._binaries = private_postgres._binaries
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        stranger.run_sql("select 1")
    assert "password authentication failed" in refusal.value.stderr


def test_stopping_leaves_no_process_behind(folder: Path) -> None:
    server = a_server(folder)
    server.start()
    pid = server.pid
    assert pid is not None
    # Its helpers come a moment after it answers.
    assert eventually(lambda: len(family(pid)) > 3)
    pids = family(pid)
    server.stop()
    assert eventually(lambda: gone(pids))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_killing_the_supervisor_with_9_ends_the_database_and_all_its_children(folder: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN_SERVER, str(folder)], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pids = family(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    assert eventually(lambda: gone(pids))


def test_an_orphan_of_a_former_run_is_ended_and_its_data_are_used(folder: Path) -> None:
    former = a_server(folder)
    former.start()
    former.run_sql("create table kept (n int)")
    orphan = former.pid
    assert orphan is not None
    server = a_server(folder)
    try:
        server.start()
        assert gone([orphan])
        assert server.run_sql("select count(*) from kept") == "0"
    finally:
        server.stop()
        former.stop()


def test_a_lock_file_that_names_somebody_elses_process_is_stale(folder: Path) -> None:
    server = a_server(folder)
    server.start()
    server.stop()
    lock = server.data / "postmaster.pid"
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        lock.write_text(f"{bystander.pid}\n{server.data}\n")
        server.start()
        assert bystander.poll() is None
        assert server.run_sql("select 1") == "1"
    finally:
        server.stop()
        stop(bystander)


@pytest.mark.parametrize("content", ["", "nonsense\n", "99999999\n"])
def test_a_damaged_lock_file_is_stale(content: str, tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(content)
    clear_stale_postmaster(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()


def test_an_interrupted_initdb_is_begun_again(folder: Path) -> None:
    (folder / "postgres.unfinished").mkdir()
    (folder / "postgres.unfinished" / "PG_VERSION").write_text("18\n")
    server = a_server(folder)
    try:
        server.start()
        assert server.run_sql("select 1") == "1"
        assert not (folder / "postgres.unfinished").exists()
    finally:
        server.stop()


def test_data_of_another_version_are_left_alone(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(SetupError, match="PostgreSQL 17"):
        a_server(folder).start()


def test_a_port_that_is_taken_is_avoided(folder: Path, private_postgres: EmbeddedPostgres) -> None:
    server = a_server(folder, port=private_postgres.port)
    try:
        server.start()
        assert server.port != private_postgres.port
    finally:
        server.stop()


def test_damaged_data_are_reported_in_one_sentence(folder: Path) -> None:
    server = a_server(folder)
    server.start()
    server.stop()
    (server.data / "global" / "pg_control").unlink()
    with pytest.raises(SetupError, match=r"PostgreSQL did not start: .*pg_control"):
        server.start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_missing_permission_is_reported_in_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SetupError, match="Permission denied"):
        EmbeddedPostgres(data=tmp_path / "postgres", password="x", log=Path(os.devnull)).start()


def test_redis_wants_its_password_and_is_gone_when_stopped(tmp_path: Path) -> None:
    server = EmbeddedRedis(password="tests", log=tmp_path / "redis.log")
    server.start()
    try:
        assert server.port is not None
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
        with (
            redis.Redis(port=server.port) as stranger,
            pytest.raises(redis.exceptions.AuthenticationError),
        ):
            stranger.ping()
    finally:
        server.stop()
    assert not ports.answers(server.port)


def test_a_password_is_not_in_the_process_list(tmp_path: Path, private_postgres: EmbeddedPostgres) -> None:
    server = EmbeddedRedis(password="very-secret-word", log=tmp_path / "redis.log")
    server.start()
    try:
        assert server.pid is not None
        assert "very-secret-word" not in " ".join(psutil.Process(server.pid).cmdline())
    finally:
        server.stop()


def test_a_child_that_ignores_the_signal_is_killed() -> None:
    stubborn = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], start_new_session=True, stdout=subprocess.PIPE
    )
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    stop(stubborn, (signal.SIGTERM, 0.3))
    stubborn.stdout.close()
    assert stubborn.returncode == -signal.SIGKILL
