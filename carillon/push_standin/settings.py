"""Settings of the push stand-in."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from shared.process.settings import ProcessSettings


class PushStandinSettings(ProcessSettings):
    """Read from the environment, prefixed `CARILLON_`."""

    service_name: ClassVar[str] = "push_standin"
    port: int = Field(default=8026, ge=0, le=65535, description="TCP port of the API and the page.")
    fcm_credentials_file: Path = Field(
        description="The service account (JSON) whose holder may send; made by `carillon up`. No default."
    )
    push_standin_capacity: int = Field(
        default=20_000, ge=1, description="Messages kept in memory; beyond it the oldest go. Default 20,000."
    )
