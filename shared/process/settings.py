"""Settings blocks: a service's settings class derives from the ones it needs.

Everything is read from the environment, prefixed `CARILLON_`, in one flat namespace. A setting made with
`deployment_setting` has a default that is right on a developer's machine alone: production refuses to
start on it. Raises pydantic.ValidationError, whose text never repeats a value that was given.
"""

from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SHORTEST_SECRET_BYTES = 32
_PRODUCTION_REQUIRED = "production_required"


def deployment_setting(default: object, *, description: str, secret: bool = False) -> Any:
    """A field whose default serves development only; `secret` keeps it out of `repr`."""
    return Field(
        default=default,
        description=description,
        repr=not secret,
        json_schema_extra={_PRODUCTION_REQUIRED: True},
    )


class SettingsBlock(BaseSettings):
    """What every block stands on."""

    model_config = SettingsConfigDict(
        env_prefix="CARILLON_",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    environment: Literal["development", "production", "test"] = Field(
        default="development",
        description="What the process is run for; `production` refuses defaults meant for development.",
    )

    @model_validator(mode="after")
    def _refuse_development_defaults(self) -> Self:
        if self.environment != "production":
            return self
        forgotten = [
            name
            for name, field in type(self).model_fields.items()
            if isinstance(field.json_schema_extra, dict)
            and field.json_schema_extra.get(_PRODUCTION_REQUIRED)
            and getattr(self, name) == field.default
        ]
        if forgotten:
            names = ", ".join(f"CARILLON_{name.upper()}" for name in forgotten)
            raise ValueError(f"production needs a value of its own for {names}")
        return self


class ProcessSettings(SettingsBlock):
    """What every process has; a service overrides `service_name` and `port` with its own defaults."""

    service_name: str = Field(
        default="carillon", description="The name in logs, metrics and service tokens, e.g. user_service."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least severity that is logged; default INFO."
    )
    log_format: Literal["json", "console"] = Field(
        default_factory=lambda known: "json" if known.get("environment") == "production" else "console",
        description="One JSON object a line, or lines for people; default json in production, else console.",
    )
    host: str = Field(default="127.0.0.1", description="The address to listen on; default 127.0.0.1.")
    port: int = Field(
        default=8000, ge=0, le=65535, description="The TCP port to listen on; each service has its default."
    )


class DatabaseSettings(SettingsBlock):
    """A service with a database of its own."""

    database_url: str = deployment_setting(
        "postgresql://postgres@127.0.0.1:5432/carillon",
        description="The service's own database, postgresql://user:password@host:port/name.",
        secret=True,
    )
    database_pool_size: int = Field(
        default=10, ge=1, le=200, description="Connections to PostgreSQL per process at most; default 10."
    )
    database_timeout_s: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Seconds until a statement counts as failed; default 2. Waiting for a connection takes "
        "half as long at most, so that a database that is away is answered with 503 within 3 s.",
    )


class BrokerSettings(SettingsBlock):
    """A service that publishes or consumes."""

    broker_url: str = deployment_setting(
        "amqp://guest:guest@127.0.0.1:5672/",
        description="The message broker: amqp://… for RabbitMQ, postgresql://…/broker_db for PostgreSQL.",
        secret=True,
    )


class RedisSettings(SettingsBlock):
    """A service that keeps fleeting things (rate limits) in Redis; never the truth."""

    redis_url: str = deployment_setting(
        "redis://127.0.0.1:6379/0", description="Redis, redis://host:port/number.", secret=True
    )


class ServiceAuthSettings(SettingsBlock):
    """A service that calls, or answers, `/internal/v1`."""

    service_secret: SecretStr = deployment_setting(
        SecretStr("development-only-not-a-secret-at-all"),
        description="Key that signs the tokens between services (HS256), the same in all; 32 bytes or more.",
        secret=True,
    )

    @model_validator(mode="after")
    def _refuse_short_secret(self) -> Self:
        if len(self.service_secret.get_secret_value().encode()) < SHORTEST_SECRET_BYTES:
            raise ValueError(f"CARILLON_SERVICE_SECRET needs {SHORTEST_SECRET_BYTES} bytes or more")
        return self


class PeerSettings(SettingsBlock):
    """A service that looks recipients and templates up."""

    user_service_url: str = deployment_setting(
        "http://127.0.0.1:8001", description="Where the user service answers, without a trailing slash."
    )
    template_service_url: str = deployment_setting(
        "http://127.0.0.1:8004", description="Where the template service answers, without a trailing slash."
    )
