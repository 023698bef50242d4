"""The settings of the gateway."""

from datetime import timedelta
from typing import Annotated, ClassVar

import limits
from pydantic import AfterValidator, Field, IPvAnyNetwork, field_validator

from shared.contracts.channels import Channel, Lane
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
    places: int = Field(
        default=256,
        ge=4,
        le=10_000,
        description="Requests in hand at once, each with up to 128 KiB of body, a batch with 256; a body "
        "that grows larger takes several. Batches hold a quarter at most, requests whose credentials are not "
        "known yet half. Who finds no place within 50 ms gets 503; default 256.",
    )
    places_per_caller: int = Field(
        default=128,
        ge=1,
        le=10_000,
        description="Of these, how many one caller may hold while others need some too, that is once fewer "
        "than an eighth are free: one API key or account; until its credentials are known, one client "
        "address, which has 48 of 256. More are answered with 429; default 128.",
    )
    body_timeout_s: float = Field(
        default=15.0,
        gt=0,
        le=60,
        description="Seconds within which a request's body has to be there whole; default 15.",
    )
    backlog_bulk_s: float = Field(
        default=3600.0,
        gt=0,
        description="A channel's bulk lane takes nothing new while more than 100 notifications in it have "
        "been due for so many seconds; default 3600.",
    )
    backlog_normal_s: float = Field(
        default=7200.0, gt=0, description="The same for the normal lane; default 7200."
    )
    backlog_urgent_s: float = Field(
        default=14400.0, gt=0, description="The same for the urgent lane; default 14400."
    )

    @property
    def backlog_limits(self) -> dict[Lane, timedelta]:
        """For how long a lane may be behind before it takes nothing new."""
        limits_s = {
            Lane.BULK: self.backlog_bulk_s,
            Lane.NORMAL: self.backlog_normal_s,
            Lane.URGENT: self.backlog_urgent_s,
        }
        return {lane: timedelta(seconds=limit_s) for lane, limit_s in limits_s.items()}

    keep_months: int = Field(
        default=13,
        ge=0,
        le=1200,
        description="Months before the present one whose notifications are kept; older months are dropped "
        "whole, but none in which something is still open; 0 keeps all; default 13.",
    )

    @field_validator("channel_urls")
    @classmethod
    def _one_for_each_channel(cls, urls: dict[Channel, str]) -> dict[Channel, str]:
        if missing := ", ".join(channel.value for channel in Channel if channel not in urls):
            raise ValueError(f"CARILLON_CHANNEL_URLS says nothing of {missing}")
        return urls
