"""Which processes `carillon up` runs, and with which settings: a pure function of what there is."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from carillon.services import SERVICES, ServiceKind
from carillon.settings import MAILBOX, MAILBOX_SMTP, PUSH_STANDIN, Ports

BROKER_DATABASE = "broker_db"
_STAGES = {ServiceKind.STORE: 1, ServiceKind.GATEWAY: 2, ServiceKind.CHANNEL: 2}


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The servers that the services use, embedded or not. `database_url` names any database there."""

    database_url: str
    broker_url: str
    redis_url: str


@dataclass(frozen=True, kw_only=True)
class SecretFiles:
    """The secrets that services are given, and where the larger ones lie."""

    service_secret: str
    token_signing_key: Path
    fcm_credentials: Path


@dataclass(frozen=True, kw_only=True)
class ProcessPlan:
    """One process: its command, its settings, where it answers.

    Processes of a higher `stage` start later and stop earlier; stage 0 are the development tools.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stage: int
    url: str

    @property
    def is_service(self) -> bool:
        """Whether it is a service proper, with `/ready` and a database, and not a development tool."""
        return self.stage > 0

    @property
    def migrate_command(self) -> tuple[str, ...]:
        """What brings its database up to date."""
        return (*self.command, "migrate")


def with_database(url: str, database: str) -> str:
    """`url` with another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def plan_processes(
    *, servers: Servers, secrets: SecretFiles, ports: Ports, host: str, inherited: Mapping[str, str]
) -> list[ProcessPlan]:
    """All processes in the order in which they start. What the person has set (`inherited`) goes before
    what points a service at the development tools."""
    common = _common_settings(servers=servers, secrets=secrets, ports=ports, inherited=inherited)
    plans = [
        ProcessPlan(
            name=name,
            command=(sys.executable, "-m", f"carillon.{module}"),
            environment=common | {"CARILLON_HOST": host, "CARILLON_PORT": str(ports[name])},
            stage=0,
            url=f"http://127.0.0.1:{ports[name]}",
        )
        for name, module in ((MAILBOX, "mailbox"), (PUSH_STANDIN, "push_standin"))
    ]
    for service in SERVICES:
        own = {
            "CARILLON_HOST": host,
            "CARILLON_PORT": str(ports[service.name]),
            "CARILLON_DATABASE_URL": with_database(servers.database_url, service.database),
        }
        plans.append(
            ProcessPlan(
                name=service.name,
                command=(sys.executable, "-m", service.module),
                environment=common | own,
                stage=_STAGES[service.kind],
                url=f"http://127.0.0.1:{ports[service.name]}",
            )
        )
    return plans


def _common_settings(
    *, servers: Servers, secrets: SecretFiles, ports: Ports, inherited: Mapping[str, str]
) -> dict[str, str]:
    address = {name: f"http://127.0.0.1:{port}" for name, port in ports.by_name.items()}
    channels = {service.channel: address[service.name] for service in SERVICES if service.channel}
    defaults = {
        "CARILLON_LOG_FORMAT": "console",
        "CARILLON_SMTP_HOST": "127.0.0.1",
        "CARILLON_SMTP_PORT": str(ports[MAILBOX_SMTP]),
        "CARILLON_FCM_URL": address[PUSH_STANDIN],
        "CARILLON_FCM_CREDENTIALS_FILE": str(secrets.fcm_credentials),
        "PYTHONUNBUFFERED": "1",
    }
    fixed = {
        "CARILLON_MAILBOX_SMTP_PORT": str(ports[MAILBOX_SMTP]),
        "CARILLON_BROKER_URL": servers.broker_url,
        "CARILLON_REDIS_URL": servers.redis_url,
        "CARILLON_SERVICE_SECRET": secrets.service_secret,
        "CARILLON_TOKEN_SIGNING_KEY_FILE": str(secrets.token_signing_key),
        "CARILLON_USER_SERVICE_URL": address["user"],
        "CARILLON_TEMPLATE_SERVICE_URL": address["template"],
        "CARILLON_GATEWAY_URL": address["gateway"],
        "CARILLON_CHANNEL_URLS": json.dumps(channels),
    }
    kept = {name: value for name, value in inherited.items() if value}
    return defaults | kept | fixed
