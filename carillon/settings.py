"""What a person may set for `carillon up`, besides the settings of the services."""

import os
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from carillon.services import SERVICES
from carillon.setup_error import SetupError
from shared.process import server_urls

MAILBOX, MAILBOX_SMTP, PUSH_STANDIN = "mailbox", "mailbox_smtp", "push_standin"
_USUAL_PORTS = {service.name: service.port for service in SERVICES} | {
    MAILBOX: 8025,
    MAILBOX_SMTP: 1025,
    PUSH_STANDIN: 8026,
}


class UpSettings(BaseSettings):
    """Read from the environment, prefixed `CARILLON_`. Each port has a variable of its own, too."""

    model_config = SettingsConfigDict(env_prefix="CARILLON_", env_ignore_empty=True, frozen=True)

    host: str = Field(
        default="127.0.0.1", description="The address everything listens on; default 127.0.0.1."
    )
    port_offset: int = Field(
        default=0,
        ge=0,
        le=50_000,
        description="Added to every usual port, for a second installation. Default 0.",
    )
    database_url: Annotated[str, AfterValidator(server_urls.database_url)] | None = Field(
        default=None, repr=False, description="A PostgreSQL server of yours. Default: an embedded one."
    )
    broker_url: Annotated[str, AfterValidator(server_urls.broker_url)] | None = Field(
        default=None,
        repr=False,
        description="amqp://… for RabbitMQ. Default: the database broker_db on the PostgreSQL server.",
    )
    redis_url: Annotated[str, AfterValidator(server_urls.redis_url)] | None = Field(
        default=None, repr=False, description="A Redis server of yours. Default: an embedded one."
    )


class NamedInstallation(BaseSettings):
    """An installation that `carillon up` has not started, under `docker compose` for one. Read from the
    environment, prefixed `CARILLON_`."""

    model_config = SettingsConfigDict(env_prefix="CARILLON_", env_ignore_empty=True, frozen=True)

    user_service_url: str | None = Field(
        default=None, description="Where its user service answers, without a trailing slash. Default none."
    )
    service_secret: SecretStr | None = Field(
        default=None, repr=False, description="The key of its service tokens. Default none."
    )
    url: str | None = Field(
        default=None,
        description="Where its gateway answers, for `carillon failed`. Default: the one that runs here.",
    )
    operator: SecretStr | None = Field(
        default=None,
        repr=False,
        description="The account that looks at failures there, as email:password. Default: here, the "
        "administrator's that is kept.",
    )
    api_key: SecretStr | None = Field(
        default=None,
        repr=False,
        description="Instead of an account; it shows what its owner has sent. Default none.",
    )


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The TCP port of everything that listens, by name."""

    by_name: dict[str, int]

    def __getitem__(self, name: str) -> int:
        return self.by_name[name]


def port_variable(name: str) -> str:
    """The environment variable that gives `name` a port of its own."""
    return f"CARILLON_{name.upper()}_PORT"


def choose_ports(settings: UpSettings) -> Ports:
    """The usual ports, moved by the offset; a variable such as CARILLON_GATEWAY_PORT goes before.

    Raises SetupError for what is no port, and where two are the same.
    """
    chosen: dict[str, int] = {}
    for name, usual in _USUAL_PORTS.items():
        given = os.environ.get(port_variable(name))
        if given and not (given.isascii() and given.isdigit() and 0 < int(given) < 65536):
            raise SetupError(f"{port_variable(name)} is not a port between 1 and 65535: {given}.")
        port = int(given) if given else usual + settings.port_offset
        if port in chosen.values():
            other = next(each for each, taken in chosen.items() if taken == port)
            raise SetupError(f"{other} and {name} are both to listen on port {port}: change one of them.")
        chosen[name] = port
    return Ports(by_name=chosen)
