"""What the routes work with, put together in main.py and handed over on the app's state."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from shared.database.engine import Database
from shared.web.parts import parts_of
from user_service.domain.access_tokens import AccessTokens
from user_service.domain.accounts import Accounts
from user_service.domain.passwords import Passwords

AUDIENCE = "user_service"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Adapters and domain objects of one app."""

    database: Database
    accounts: Accounts
    passwords: Passwords
    access_tokens: AccessTokens


CurrentParts = Annotated[Parts, Depends(parts_of(Parts))]
