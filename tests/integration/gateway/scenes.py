"""What several tests of the gateway begin with or wait for."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from gateway_service.api.access import AccessControl
from gateway_service.domain.access import Principal
from shared.contracts.http.auth import ROLE_SCOPES, Role
from tests.builders import a_delivery_report
from tests.integration.gateway.conftest import Gateway, eventually

LATER = f"{datetime.now(UTC) + timedelta(days=200):%Y-%m-%dT08:00:00Z}"


class Accounts:
    """In place of access control: the bearer token names a person and a role."""

    def __init__(self, app_access: AccessControl) -> None:
        self.spend_on_oneself = app_access.spend_on_oneself

    async def authenticate(self, authorization: str | None) -> Principal:
        """`Bearer <role>:<user id>`."""
        role, _, user_id = (authorization or "").removeprefix("Bearer ").partition(":")
        person = UUID(user_id)
        return Principal(
            owner=person,
            user_id=person,
            role=Role(role),
            scopes=ROLE_SCOPES[Role(role)],
            kind="user",
            test=False,
        )


async def ask(gateway: Gateway, method: str, path: str, *, as_: str, **body: object) -> httpx.Response:
    """Below /notifications, with these credentials."""
    return await gateway.http.request(
        method,
        f"/api/v1/notifications{path}",
        headers={"Authorization": f"Bearer {as_}"},
        **({"json": body} if body else {}),  # type: ignore[arg-type]
    )


async def accepted(gateway: Gateway, **changes: object) -> UUID:
    """A notification whose release the channel has taken."""
    identifier = UUID((await gateway.post(gateway.a_request(**changes))).json()["id"])
    await gateway.released(1)
    return identifier


async def reaches(gateway: Gateway, identifier: UUID, status: str) -> dict[str, Any]:
    """The notification, once it stands there."""
    found: dict[str, Any] = {}

    async def stands_there() -> bool:
        found.update((await gateway.get(f"/{identifier}")).json())
        return bool(found["status"] == status)

    await eventually(stands_there)
    return found


async def settled(gateway: Gateway) -> None:
    """Everything that was reported is applied."""

    async def is_drained() -> bool:
        state = await gateway.broker.queue_state("reports.queue")
        return state.depth == 0

    await eventually(is_drained)
    marker = await accepted(gateway)
    await gateway.report(a_delivery_report(notification_id=marker))
    await reaches(gateway, marker, "sent")
