"""Every service there is: the one list from which processes, addresses and databases are made."""

from dataclasses import dataclass
from enum import StrEnum


class ServiceKind(StrEnum):
    """What a service is to the others: the way in, a store of facts, or a channel that delivers."""

    GATEWAY = "gateway"
    STORE = "store"
    CHANNEL = "channel"


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service process.

    `name` is what logs and `carillon status` call it, `module` what `python -m` runs, `port` its usual
    port, `database` the database that it alone owns, `channel` the notification type it delivers, if any.
    """

    name: str
    module: str
    port: int
    database: str
    kind: ServiceKind
    channel: str | None = None

    @property
    def revisions(self) -> str:
        """The folder of its database's revisions; every channel has the same ledger."""
        return "shared/delivery/migrations" if self.channel else f"{self.module}/storage/migrations"

    @property
    def port_variable(self) -> str:
        """The environment variable that gives this service another port under `carillon up`."""
        return f"CARILLON_{self.name.upper()}_PORT"


SERVICES: tuple[Service, ...] = (
    Service(name="user", module="user_service", port=8001, database="user_db", kind=ServiceKind.STORE),
    Service(
        name="template", module="template_service", port=8004, database="template_db", kind=ServiceKind.STORE
    ),
    Service(
        name="gateway", module="gateway_service", port=8000, database="gateway_db", kind=ServiceKind.GATEWAY
    ),
    Service(
        name="email",
        module="email_service",
        port=8002,
        database="email_db",
        kind=ServiceKind.CHANNEL,
        channel="email",
    ),
    Service(
        name="push",
        module="push_service",
        port=8003,
        database="push_db",
        kind=ServiceKind.CHANNEL,
        channel="push",
    ),
)
"""In the order in which they are started; they are stopped in the reverse order."""
