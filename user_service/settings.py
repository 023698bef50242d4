"""The settings of the user service."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from shared.process.settings import DatabaseSettings, ProcessSettings, ServiceAuthSettings


class UserServiceSettings(ProcessSettings, DatabaseSettings, ServiceAuthSettings):
    """Read from the environment, prefix `CARILLON_`."""

    service_name: ClassVar[str] = "user_service"
    port: int = Field(default=8001, ge=0, le=65535, description="TCP port to listen on; default 8001.")
    token_signing_key_file: Path | None = Field(
        default=None,
        description="PEM file with the Ed25519 or P-256 private key that signs access tokens; further keys "
        "in it are published but do not sign. Default: a key that lives as long as the process, refused in "
        "production.",
    )
    access_token_ttl_s: int = Field(
        default=86_400,
        ge=60,
        le=7 * 86_400,
        description="Seconds an access token is good for; default 86400.",
    )
    refresh_token_ttl_s: int = Field(
        default=30 * 86_400,
        ge=3_600,
        le=365 * 86_400,
        description="Seconds a refresh token is good for; default 2592000, 30 days.",
    )
    password_rounds: int = Field(
        default=12,
        ge=4,
        le=16,
        description="Cost of a password's hash (bcrypt), as a power of two; default 12; less than 10 is "
        "refused in production.",
    )

    @model_validator(mode="after")
    def _refuse_what_is_for_development(self) -> Self:
        if self.environment == "production":
            if self.token_signing_key_file is None:
                raise ValueError("production needs a value of its own for CARILLON_TOKEN_SIGNING_KEY_FILE")
            if self.password_rounds < 10:
                raise ValueError("production needs CARILLON_PASSWORD_ROUNDS of 10 or more")
        return self
