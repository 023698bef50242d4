"""The settings of the email service."""

import ipaddress
import ssl
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from email_service.mime.address import Mailbox, parse_sender
from shared.delivery.settings import ChannelSettings
from shared.process.settings import deployment_setting


class EmailSettings(ChannelSettings):
    """What the email service needs to know: the mail server, and in whose name it sends."""

    service_name: ClassVar[str] = "email_service"
    port: int = Field(default=8002, ge=0, le=65535, description="The TCP port to listen on; default 8002.")

    smtp_host: str = Field(
        default="127.0.0.1", description="The mail server's host name or address; default 127.0.0.1."
    )
    smtp_port: int = Field(
        default=1025,
        ge=1,
        le=65535,
        description="The mail server's TCP port: 587 with starttls, 465 with tls, as a rule; default 1025, "
        "the development mailbox.",
    )
    smtp_username: str | None = Field(
        default=None, description="Login name at the mail server; default none, and then no login."
    )
    smtp_password: SecretStr | None = Field(
        default=None, repr=False, description="Password at the mail server; default none."
    )
    smtp_tls: Literal["none", "starttls", "tls"] = Field(
        default="none",
        description="Encryption to the mail server: none, starttls (required, not just tried) or tls from "
        "the first byte; default none.",
    )
    smtp_ca_file: Path | None = Field(
        default=None,
        description="PEM file with the authorities that the mail server's certificate may come from; default "
        "the system's.",
    )
    smtp_connections: int = Field(
        default=32,
        ge=1,
        le=200,
        description="Connections to the mail server at once at most; with fewer than the lanes' shares "
        "together, urgent mail waits behind bulk; default 32.",
    )
    smtp_timeout_s: float = Field(
        default=20.0,
        gt=0,
        le=600,
        description="Seconds one mail may take, waiting for a free connection included; less than "
        "CARILLON_STOP_GRACE_S, or a stop may leave a mail in doubt; default 20.",
    )
    smtp_same_message_id_s: float = Field(
        default=0.0,
        ge=0,
        le=31_536_000,
        description="Seconds for which the mail server takes a second mail with the same Message-ID without "
        "effect; a mail in doubt is then sent again without a second copy, unless CARILLON_SMTP_TIMEOUT_S is "
        "longer; default 0, it does not.",
    )
    smtp_ehlo_name: str | None = Field(
        default=None,
        description="The name to greet the mail server with; default the domain of CARILLON_EMAIL_FROM.",
    )
    email_from: str = deployment_setting(
        "Carillon <no-reply@carillon.localhost>",
        description="The sender of every mail, `Name <address>` or a bare address; its domain also ends the "
        "Message-ID.",
    )

    @field_validator("email_from")
    @classmethod
    def _check_sender(cls, value: str) -> str:
        parse_sender(value)
        return value

    @model_validator(mode="after")
    def _refuse_password_in_the_clear(self) -> Self:
        clear = self.smtp_password is not None and self.smtp_tls == "none"
        if self.environment == "production" and clear and not _is_loopback(self.smtp_host):
            raise ValueError("CARILLON_SMTP_TLS=none would send CARILLON_SMTP_PASSWORD in the clear")
        return self

    @property
    def sender(self) -> Mailbox:
        """`email_from`, parsed."""
        return parse_sender(self.email_from)

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS context for the mail server, made anew; None without TLS. Raises OSError for a CA file
        that cannot be read."""
        if self.smtp_tls == "none":
            return None
        return ssl.create_default_context(cafile=self.smtp_ca_file)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
