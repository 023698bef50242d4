"""For whom everything is made that all who watch see alike."""

from uuid import UUID

from gateway_service.domain.access import Principal
from shared.contracts.http.auth import ROLE_SCOPES, Role

WATCHER = Principal(
    owner=UUID(int=0),
    user_id=UUID(int=0),
    role=Role.OPERATOR,
    scopes=ROLE_SCOPES[Role.OPERATOR],
    kind="user",
    test=False,
)
"""Nobody: may read everything, and sees no personal data."""
