"""Carillon as it is measured: `carillon up` in a home of its own, with the logs of production."""

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from carillon.bench.population import TEMPLATE, create_recipients
from carillon.bench.servers import BenchServers
from carillon.bench.system import System
from carillon.embedded import child
from carillon.embedded import ports as tcp
from carillon.home import CHECKOUT, Home
from carillon.run_record import read_record
from carillon.services import SERVICES
from carillon.setup_error import SetupError

_STARTS_WITHIN_S = 90.0
_STOPS_WITHIN_S = 45.0
_READY = "Carillon is up."
_OFFSETS = range(10_000, 40_000, 10)
_TRIES = 50
_OTHER_BROKERS = ("CARILLON_BROKER_URL", "CARILLON_BENCH_BROKER_URL")
_USUAL_PORTS = (1025, 8025, 8026, *(service.port for service in SERVICES))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and how an installation is to run. `environment` is added to ours."""

    folder: Path
    servers: BenchServers
    broker_url: str | None
    environment: Mapping[str, str]
    recipients: int


@contextlib.contextmanager
def running_installation(setting: Setting) -> Iterator[System]:
    """Everything up, recipients and a template there; stopped in order. Raises SetupError."""
    setting.folder.mkdir(mode=0o755)
    log = setting.folder / "up.log"
    process = child.spawn(
        [sys.executable, "-m", "carillon", "up"],
        log=log,
        death_signal=signal.SIGTERM,
        environment=_environment(setting),
        working_directory=CHECKOUT,
    )
    try:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while _READY not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SetupError(f"Carillon did not start (log: {log}).")
            time.sleep(0.1)
        yield _prepared(setting, supervisor=process.pid)
    finally:
        child.stop(process, (signal.SIGTERM, _STOPS_WITHIN_S))


def _environment(setting: Setting) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _OTHER_BROKERS}
    own = {
        "CARILLON_HOME": str(setting.folder / "home"),
        "CARILLON_PORT_OFFSET": os.environ.get("CARILLON_PORT_OFFSET") or str(_free_offset()),
        "CARILLON_DATABASE_URL": setting.servers.postgres.url,
        "CARILLON_REDIS_URL": setting.servers.redis.url,
        "CARILLON_LOG_FORMAT": "json",
        "CARILLON_LOG_LEVEL": "INFO",
        # The email service is held still while accepting alone is measured.
        "CARILLON_STALL_LIMIT_S": "3600",
        "NO_COLOR": "1",
    }
    broker = {} if setting.broker_url is None else {"CARILLON_BROKER_URL": setting.broker_url}
    return inherited | own | broker | dict(setting.environment)


def _prepared(setting: Setting, *, supervisor: int) -> System:
    home = Home(setting.folder / "home")
    record = read_record(home.run_record)
    if record is None:
        raise SetupError("Carillon has left no record of its processes.")
    authorization = f"Bearer {home.secret('api_key')}"
    address = record.addresses["gateway"]
    recipients = create_recipients(setting.servers.postgres, setting.recipients)
    with httpx.Client(
        base_url=f"{address}/api/v1", headers={"Authorization": authorization}, trust_env=False
    ) as client:
        _checked(client.post("/templates", json=TEMPLATE))
        _checked(client.post(f"/templates/{TEMPLATE['code']}/versions/1/publish"))
    return System(
        name="carillon",
        port=int(address.rpartition(":")[2]),
        authorization=authorization,
        own={"supervisor": supervisor, **{each.name: each.pid for each in record.processes}},
        alone=frozenset({"supervisor"}),
        recipients=recipients,
        template=TEMPLATE["code"],
        addresses=[record.addresses[service.name] for service in SERVICES],
    )


def _checked(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise SetupError(f"The template was refused with {answer.status_code}: {answer.text}")


def _free_offset() -> int:
    for offset in random.sample(_OFFSETS, _TRIES):  # two benches at once do not look at the same
        if all(tcp.is_free(port + offset) for port in _USUAL_PORTS):
            return offset
    raise SetupError("No ports are free: set CARILLON_PORT_OFFSET.")
