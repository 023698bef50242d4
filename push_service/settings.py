"""The settings of the push service."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from shared.delivery.settings import ChannelSettings


class PushSettings(ChannelSettings):
    """What the push service needs to know: the push provider, and the account it sends with."""

    service_name: ClassVar[str] = "push_service"
    port: int = Field(default=8003, ge=0, le=65535, description="The TCP port to listen on; default 8003.")

    fcm_url: str = Field(
        default="https://fcm.googleapis.com",
        description="Where Firebase Cloud Messaging answers, without a trailing slash; default Google's.",
    )
    fcm_credentials_file: Path | None = Field(
        default=None,
        description="The Firebase project's service-account key (JSON with project_id, client_email, "
        "private_key and token_uri); read anew for each access token. Default none: "
        "the service starts, but is not ready.",
    )
    fcm_connections: int = Field(
        default=32, ge=1, le=500, description="Connections to FCM at once at most; default 32."
    )
    fcm_timeout_s: float = Field(
        default=10.0, gt=0, le=600, description="Seconds one notification may take; default 10."
    )
