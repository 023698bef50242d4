"""Which processes `carillon up` runs, and with which settings: a pure function of what there is."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pydantic_settings import BaseSettings

from carillon.mailbox.settings import MailboxSettings
from carillon.push_standin.settings import PushStandinSettings
from carillon.services import SERVICES, ServiceKind
from carillon.settings import MAILBOX, MAILBOX_SMTP, PUSH_STANDIN, Ports
from carillon.setup_error import SetupError

BROKER_DATABASE = "broker_db"
_STAGES = {ServiceKind.STORE: 1, ServiceKind.GATEWAY: 2, ServiceKind.CHANNEL: 2}
_TOOLS: tuple[tuple[str, str, type[BaseSettings]], ...] = (
    (MAILBOX, "carillon.mailbox", MailboxSettings),
    (PUSH_STANDIN, "carillon.push_standin", PushStandinSettings),
)


@dataclass(frozen=True, kw_only=True)
class _Outside:
    """A server outside, in the place of a development tool: it is meant as soon as one of `variables` is
    set, and then the person sets all that are `needed`."""

    variables: frozenset[str]
    needed: tuple[str, ...]

    def is_meant(self, inherited: Mapping[str, str]) -> bool:
        """Raises SetupError where it is meant, and something is missing."""
        given = [name for name in sorted(self.variables) if inherited.get(name)]
        missing = [name for name in self.needed if not inherited.get(name)]
        if given and missing:
            raise SetupError(
                f"{', '.join(given)} is set, but not {', '.join(missing)}: set both, or neither."
            )
        return bool(given)


_MAIL_SERVER = _Outside(
    variables=frozenset(
        f"CARILLON_SMTP_{name}" for name in ("HOST", "PORT", "USERNAME", "PASSWORD", "TLS", "CA_FILE")
    ),
    needed=("CARILLON_SMTP_HOST", "CARILLON_SMTP_PORT"),
)
_FIREBASE = _Outside(
    variables=frozenset({"CARILLON_FCM_URL", "CARILLON_FCM_CREDENTIALS_FILE"}),
    needed=("CARILLON_FCM_CREDENTIALS_FILE",),
)


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
    `revisions`: the folder, in the checkout, of its database's revisions.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stage: int
    url: str
    revisions: str | None = None

    @property
    def is_service(self) -> bool:
        """Whether it is a service proper, with `/ready` and a database, and not a development tool."""
        return self.stage > 0


def with_database(url: str, database: str) -> str:
    """`url` with another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def plan_processes(
    *, servers: Servers, secrets: SecretFiles, ports: Ports, host: str, inherited: Mapping[str, str]
) -> list[ProcessPlan]:
    """All processes in the order in which they start. What the person has set (`inherited`) goes before
    what points a service at the development tools. Raises SetupError where that is set by halves."""
    common = _common_settings(servers=servers, secrets=secrets, ports=ports, inherited=inherited)
    plans = []
    for name, module, settings in _TOOLS:
        # The account of the stand-in is its own, also where the push service has one of Firebase's.
        own = {
            "CARILLON_HOST": host,
            "CARILLON_PORT": str(ports[name]),
            "CARILLON_FCM_CREDENTIALS_FILE": str(secrets.fcm_credentials),
        }
        plans.append(
            ProcessPlan(
                name=name,
                command=(sys.executable, "-m", module),
                environment=_only_for(settings, common | own),
                stage=0,
                url=f"http://127.0.0.1:{ports[name]}",
            )
        )
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
                revisions=service.revisions,
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
        "PYTHONUNBUFFERED": "1",
    }
    if not _MAIL_SERVER.is_meant(inherited):
        defaults["CARILLON_SMTP_HOST"] = "127.0.0.1"
        defaults["CARILLON_SMTP_PORT"] = str(ports[MAILBOX_SMTP])
    if not _FIREBASE.is_meant(inherited):
        defaults["CARILLON_FCM_URL"] = address[PUSH_STANDIN]
        defaults["CARILLON_FCM_CREDENTIALS_FILE"] = str(secrets.fcm_credentials)
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


def _only_for(settings: type[BaseSettings], environment: Mapping[str, str]) -> dict[str, str]:
    """Of Carillon's variables only those that `settings` reads: no secret goes where it is not needed."""
    read = {f"CARILLON_{name.upper()}" for name in settings.model_fields}
    return {
        name: value for name, value in environment.items() if name in read or not name.startswith("CARILLON_")
    }
