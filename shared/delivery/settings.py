"""The settings every channel service has."""

from typing import Annotated

from pydantic import Field

from shared.process.settings import (
    BrokerSettings,
    DatabaseSettings,
    PeerSettings,
    ProcessSettings,
    ServiceAuthSettings,
)


class ChannelSettings(ProcessSettings, DatabaseSettings, BrokerSettings, ServiceAuthSettings, PeerSettings):
    """A lane's share is how many calls of providers it may have in flight; what a lane has prefetched and not
    yet called is eight times that."""

    urgent_concurrency: int = Field(
        default=8, ge=1, le=500, description="Provider calls in flight for the urgent lane; default 8."
    )
    normal_concurrency: int = Field(
        default=16, ge=1, le=500, description="Provider calls in flight for the normal lane; default 16."
    )
    bulk_concurrency: int = Field(
        default=8, ge=1, le=500, description="Provider calls in flight for the bulk lane; default 8."
    )
    longer_waits_s: tuple[Annotated[float, Field(gt=0, le=86_400)], ...] = Field(
        default=(),
        max_length=20,
        description="Waits in seconds, as a JSON list, for further calls after the first four, such as "
        "[300, 900, 1800]; default none: after four failed calls a message is parked.",
    )
    sweep_interval_s: float = Field(
        default=1.0, gt=0, le=60, description="Seconds between two sweeps of the ledger; default 1."
    )
    report_repeat_s: float = Field(
        default=15.0,
        gt=0,
        le=3600,
        description="Seconds until a report without receipt is repeated; default 15.",
    )
    lease_margin_s: float = Field(
        default=15.0,
        gt=0,
        le=600,
        description="Seconds by which a claim's lease outlasts the provider's time-out; default 15.",
    )
    stop_grace_s: float = Field(
        default=22.0, gt=0, le=600, description="Seconds a stop waits for calls in flight; default 22."
    )
    breaker_open_s: float = Field(
        default=60.0,
        ge=1,
        le=3600,
        description="Seconds a provider is left alone after five failures in a row, and after each probe "
        "that failed; default 60.",
    )
