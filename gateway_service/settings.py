"""The settings of the gateway."""

from typing import Annotated, ClassVar

import limits
from pydantic import AfterValidator, Field, IPvAnyNetwork, field_validator

from shared.contracts.channels import Channel
from shared.process.settings import (
    BrokerSettings,
    DatabaseSettings,
    PeerSettings,
    ProcessSettings,
    RedisSettings,
    ServiceAuthSettings,
    deployment_setting,
)


def _rate(value: str) -> str:
    limits.parse(value)
    return value


Rate = Annotated[str, AfterValidator(_rate)]
"""As in `20/minute` or `10 per 5 minutes`."""


class AccessSettings(RedisSettings, ServiceAuthSettings, PeerSettings):
    """What access control needs."""

    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="The reverse proxies before the gateway, addresses or networks as a JSON list; theirs is "
        "the only X-Forwarded-For that is believed, and rate limits go by it. Default none.",
    )
    register_rate: Rate = Field(
        default="20/minute", description="Registrations per client address; default 20/minute."
    )
    token_rate: Rate = Field(default="60/minute", description="Logins per client address; default 60/minute.")
    token_failure_rate: Rate = Field(
        default="10 per 5 minutes",
        description="Failed logins per client address and account; default 10 per 5 minutes.",
    )
    own_sending_rate: Rate = Field(
        default="30/minute",
        description="Notifications that an account without notifications:send may send to itself; default "
        "30/minute.",
    )
    api_key_fresh_s: float = Field(
        default=10.0,
        gt=0,
        le=10,
        description="Seconds for which an API key is not asked about again; default and most: 10.",
    )
    api_key_stale_s: float = Field(
        default=300.0,
        ge=0,
        le=3600,
        description="Seconds for which a known API key goes on while the user service is away; default 300.",
    )


class GatewaySettings(ProcessSettings, DatabaseSettings, BrokerSettings, AccessSettings):
    """The gateway's own, with everything it needs of the others."""

    service_name: ClassVar[str] = "gateway_service"
    port: int = Field(default=8000, ge=0, le=65535, description="The TCP port to listen on; default 8000.")
    database_url: str = deployment_setting(
        "postgresql://postgres@127.0.0.1:5432/gateway_db",
        description="The gateway's own database, postgresql://user:password@host:port/gateway_db.",
        secret=True,
    )
    channel_urls: dict[Channel, str] = deployment_setting(
        {Channel.EMAIL: "http://127.0.0.1:8002", Channel.PUSH: "http://127.0.0.1:8003"},
        description='Where each channel service answers, as JSON: {"email": "http://…", …}.',
    )
    categories: tuple[str, ...] = Field(
        default=("security", "transactional", "promotional"),
        description="The categories that a notification may have, as a JSON list.",
    )
    sweep_interval_s: float = Field(
        default=1.0, gt=0, le=60, description="Seconds between two sweeps of the outbox; default 1."
    )
    ask_after_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="Seconds after which the ledger is asked about a release without an end; doubles each "
        "time, up to 15 min; default 60.",
    )

    @field_validator("channel_urls")
    @classmethod
    def _one_for_each_channel(cls, urls: dict[Channel, str]) -> dict[Channel, str]:
        if missing := ", ".join(channel.value for channel in Channel if channel not in urls):
            raise ValueError(f"CARILLON_CHANNEL_URLS says nothing of {missing}")
        return urls
