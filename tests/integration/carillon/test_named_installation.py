"""`carillon migrate` and `carillon admin create` where `docker compose`, not `carillon up`, runs the rest."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.main import app
from carillon.services import SERVICES
from shared.process.service_tokens import ServiceTokens
from tests import servers

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state folder that must stay absent: a container's file system is read-only."""
    monkeypatch.setenv("CARILLON_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_migrate_prepares_every_database_on_the_server_that_is_named(
    monkeypatch: pytest.MonkeyPatch, nowhere: Path
) -> None:
    with servers.server_folder() as folder, servers.running_postgres(folder, durable=False) as postgres:
        monkeypatch.setenv("CARILLON_DATABASE_URL", postgres.url)
        for _ in range(2):
            done = CliRunner().invoke(app, ["migrate"])
            assert (done.exit_code, done.stdout) == (0, "All databases are up to date.\n"), done.output
        assert databases(postgres) >= {service.database for service in SERVICES}
    assert not nowhere.exists()


def databases(postgres: EmbeddedPostgres) -> set[str]:
    """Those that have been migrated."""
    names = postgres.run_sql("select datname from pg_database where not datistemplate").split()
    migrated = "select to_regclass('alembic_version') is not null"
    return {name for name in names if postgres.run_sql(migrated, database=name).strip() == "t"}


@contextmanager
def user_service() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Takes every account; gives its URL and what it was asked, with the caller that the token names."""
    asked: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            token = self.headers["Authorization"].removeprefix("Bearer ")
            caller = ServiceTokens(SECRET, "user_service").verify(token, audience="user_service")
            asked.append({"path": self.path, "caller": caller, **body})
            answer = json.dumps({"id": "0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d"}).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- named by the library
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", asked
        http.shutdown()
        thread.join()


def test_admin_create_asks_the_user_service_that_is_named(
    monkeypatch: pytest.MonkeyPatch, nowhere: Path
) -> None:
    with user_service() as (url, asked):
        monkeypatch.setenv("CARILLON_USER_SERVICE_URL", url)
        monkeypatch.setenv("CARILLON_SERVICE_SECRET", SECRET)
        done = CliRunner().invoke(app, ["admin", "create", "ann@example.com"])
    assert done.exit_code == 0, done.output
    _, _, login = done.stdout.strip().partition("=")
    email, _, password = login.partition(":")
    assert asked == [
        {
            "path": "/internal/v1/accounts",
            "caller": "carillon",
            "name": "Administrator",
            "email": email,
            "password": password,
            "role": "admin",
        }
    ]
    assert email == "ann@example.com"
    assert not nowhere.exists()


def test_without_one_it_is_that_of_carillon_up(monkeypatch: pytest.MonkeyPatch, nowhere: Path) -> None:
    monkeypatch.setenv("CARILLON_SERVICE_SECRET", SECRET)
    done = CliRunner().invoke(app, ["admin", "create", "ann@example.com"])
    assert done.exit_code == 2
    assert "is not running" in done.stderr
