"""Settings blocks: a service's settings class derives from the ones it needs.

Everything is read from the environment, prefixed `CARILLON_`, in one flat namespace. A setting made with
`deployment_setting` has a default that is right on a developer's machine alone: production refuses to
start on it. Raises pydantic.ValidationError, whose text never repeats a value that was given.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.process import crash_points, server_urls

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


def needed_in_production(field: FieldInfo) -> bool:
    """Whether its default serves development only."""
    return isinstance(field.json_schema_extra, dict) and bool(
        field.json_schema_extra.get(_PRODUCTION_REQUIRED)
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
            if needed_in_production(field) and getattr(self, name) == field.default
        ]
        if forgotten:
            names = ", ".join(f"CARILLON_{name.upper()}" for name in forgotten)
            raise ValueError(f"production needs a value of its own for {names}")
        return self


class ProcessSettings(SettingsBlock):
    """What every process has; a service overrides `service_name` and `port` with its own.

    `service_name` stands in logs, metrics and service tokens: who a service is, is nobody's to set.
    """

    service_name: ClassVar[str] = "carillon"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least severity that is logged; default INFO."
    )
    log_format: Literal["json", "console"] = Field(
        default=None,  # type: ignore[arg-type] # never stays so, see below
        description="One JSON object a line, or lines for people; default json in production, else console.",
    )

    # No default factory: it would add a complaint of its own to that about any other setting.
    @field_validator("log_format", mode="before")
    @classmethod
    def _fit_environment(cls, given: object, known: ValidationInfo) -> object:
        usual = "json" if known.data.get("environment") == "production" else "console"
        return usual if given is None else given

    stall_limit_s: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        description="Seconds after which a process whose event loop stands still ends itself, to be started "
        "anew; default 30.",
    )
    crash_at: str | None = Field(
        default=None,
        description="For experiments: the point on a notification's way at which the process is to kill "
        "itself, as `claim.committed` or `claim.committed:3` for the third time. Refused in production. "
        "Default none.",
    )

    @field_validator("crash_at")
    @classmethod
    def _check_crash_point(cls, given: str | None, known: ValidationInfo) -> str | None:
        if given is not None:
            if known.data.get("environment") == "production":
                raise ValueError("is for experiments, and never for production")
            crash_points.parse(given)
        return given

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
    _check_database_url = field_validator("database_url")(server_urls.database_url)


class BrokerSettings(SettingsBlock):
    """A service that publishes or consumes."""

    broker_url: str = deployment_setting(
        "amqp://guest:guest@127.0.0.1:5672/",
        description="The message broker: amqp://… for RabbitMQ, postgresql://…/broker_db for PostgreSQL.",
        secret=True,
    )
    _check_broker_url = field_validator("broker_url")(server_urls.broker_url)


class RedisSettings(SettingsBlock):
    """A service that keeps fleeting things (rate limits) in Redis; never the truth."""

    redis_url: str = deployment_setting(
        "redis://127.0.0.1:6379/0", description="Redis, redis://host:port/number.", secret=True
    )
    _check_redis_url = field_validator("redis_url")(server_urls.redis_url)


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
