"""The settings of the template service."""

from typing import ClassVar

from pydantic import Field

from shared.contracts.http.base import LanguageTag
from shared.process.settings import BrokerSettings, DatabaseSettings, ProcessSettings, ServiceAuthSettings


class TemplateServiceSettings(ProcessSettings, DatabaseSettings, BrokerSettings, ServiceAuthSettings):
    """Read from the environment, prefix `CARILLON_`."""

    service_name: ClassVar[str] = "template_service"
    port: int = Field(default=8004, ge=0, le=65535, description="TCP port to listen on; default 8004.")
    default_language: LanguageTag = Field(
        default="en",
        description="The language that stands in where a template has none that was asked for; default en.",
    )
