"""What the routes work with, put together in main.py and handed over on the app's state."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from shared.database.engine import Database
from shared.delivery.rendering import Renderer
from shared.web.parts import parts_of
from template_service.domain.announcements import Announcements

AUDIENCE = "template_service"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Adapters and domain objects of one app."""

    database: Database
    renderer: Renderer
    announcements: Announcements
    default_language: str


CurrentParts = Annotated[Parts, Depends(parts_of(Parts))]
