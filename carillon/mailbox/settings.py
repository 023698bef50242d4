"""Settings of the mailbox."""

from typing import ClassVar

from pydantic import Field

from shared.process.settings import ProcessSettings


class MailboxSettings(ProcessSettings):
    """Read from the environment, prefixed `CARILLON_`."""

    service_name: ClassVar[str] = "mailbox"
    port: int = Field(default=8025, ge=0, le=65535, description="TCP port of the page and the JSON.")
    mailbox_smtp_port: int = Field(
        default=1025, ge=0, le=65535, description="TCP port that takes mail over SMTP; default 1025."
    )
    mailbox_capacity: int = Field(
        default=20_000, ge=1, description="Mails kept in memory; beyond it the oldest go. Default 20,000."
    )
    mailbox_capacity_bytes: int = Field(
        default=256 * 1024 * 1024, ge=1, description="Bytes of mail kept in memory; default 256 MiB."
    )
    mailbox_size_limit: int = Field(
        default=26_214_400, ge=1, description="Bytes of the largest mail that is taken; default 25 MiB."
    )
