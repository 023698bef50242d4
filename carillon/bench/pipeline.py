"""The frozen pipeline of bench/ as a running system, with an environment of its own."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from carillon.bench.population import TEMPLATE
from carillon.bench.servers import BenchServers
from carillon.bench.sinks import Sink
from carillon.bench.system import System
from carillon.embedded import child, ports
from carillon.home import CHECKOUT
from carillon.setup_error import SetupError

FOLDER = CHECKOUT / "bench"
ENVIRONMENT = CHECKOUT / ".venv-bench"
DATABASE = "pipeline_db"
_STARTS_WITHIN_S = 60.0
# The best of what was tried on two cores, see bench/README.md.
_CORES = min(os.cpu_count() or 1, 8)
_API_WORKERS = max(2, _CORES)
_CONCURRENCY = 2 * _API_WORKERS


def prepare_environment() -> Path:
    """The interpreter with what requirements.txt pins, installed when it has changed. Raises SetupError."""
    python = ENVIRONMENT / "bin" / "python"
    wanted = (FOLDER / "requirements.txt").read_text()
    installed = ENVIRONMENT / "installed.txt"
    if installed.exists() and installed.read_text() == wanted:
        return python
    uv = _find_uv()
    create = [uv, "venv", "--clear", "--quiet"] if uv else [sys.executable, "-m", "venv", "--clear"]
    install = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    base = ["--python", sys.executable] if uv else []
    for command in (
        [*create, *base, str(ENVIRONMENT)],
        [*install, "--quiet", "-r", str(FOLDER / "requirements.txt")],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise SetupError(f"The pipeline's packages cannot be installed: {done.stderr.strip()[-500:]}")
    (ENVIRONMENT / ".gitignore").write_text("*\n")
    installed.write_text(wanted)
    return python


@contextlib.contextmanager
def running_pipeline(folder: Path, *, servers: BenchServers, sink: Sink, recipients: int) -> Iterator[System]:
    """Its three processes up, recipients and the template there. Raises SetupError."""
    python = prepare_environment()
    folder.mkdir(mode=0o755)
    servers.postgres.run_sql(f"CREATE DATABASE {DATABASE}")
    api, directory, key = ports.free_port(), ports.free_port(), secrets.token_urlsafe(32)
    environment = _environment(servers, sink) | {
        "PIPELINE_DIRECTORY_URL": f"http://127.0.0.1:{directory}",
        "PIPELINE_API_KEY": key,
    }
    template = folder / "template.json"
    template.write_text(json.dumps(TEMPLATE))
    _set_up([str(python), "-m", "pipeline.setup", str(recipients), str(template)], environment)
    uvicorn = [str(python), "-m", "uvicorn", "--host", "127.0.0.1", "--no-access-log"]
    commands = {
        "directory": [*uvicorn, "pipeline.directory:app", "--port", str(directory)],
        "api": [*uvicorn, "pipeline.api:app", "--port", str(api), "--workers", str(_API_WORKERS)],
        "worker": [
            *(str(python), "-m", "celery", "-A", "pipeline.tasks", "worker", "--loglevel", "INFO"),
            *("--concurrency", str(_CONCURRENCY), "--without-gossip", "--without-mingle"),
        ],
    }
    with contextlib.ExitStack() as stack:
        pids = {}
        for name, command in commands.items():
            process = child.spawn(
                command,
                log=folder / f"{name}.log",
                death_signal=signal.SIGTERM,
                environment=environment,
                working_directory=FOLDER,
            )
            stack.callback(child.stop, process, (signal.SIGTERM, 20.0))
            pids[name] = process.pid
        _wait_ready((api, directory), worker_log=folder / "worker.log", folder=folder)
        yield System(
            name="pipeline",
            port=api,
            authorization=f"Bearer {key}",
            own=pids,
            alone=frozenset(),
            recipients=servers.postgres.run_sql("SELECT id FROM users", database=DATABASE).split(),
            template=TEMPLATE["code"],
        )


def _environment(servers: BenchServers, sink: Sink) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
    return inherited | {
        "PIPELINE_DATABASE_URL": servers.postgres.database_url(DATABASE).replace(
            "postgresql://", "postgresql+psycopg2://"
        ),
        "PIPELINE_BROKER_URL": servers.rabbitmq_url("pipeline"),
        "PIPELINE_SMTP_HOST": "127.0.0.1",
        "PIPELINE_SMTP_PORT": str(sink.port),
    }


def _set_up(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, env=dict(environment), cwd=FOLDER, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SetupError(f"The pipeline's database cannot be prepared: {done.stderr.strip()[-500:]}")


def _wait_ready(listening: tuple[int, ...], *, worker_log: Path, folder: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while not all(ports.answers(port) for port in listening) or " ready." not in worker_log.read_text():
        if time.monotonic() > deadline:
            raise SetupError(f"The pipeline did not start (logs: {folder}).")
        time.sleep(0.2)


def _find_uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")
