"""A gateway with its console, on real PostgreSQL, in front of a real user service; channels are fakes."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
from pydantic import SecretStr

import user_service
from gateway_service.main import create_app
from gateway_service.settings import GatewaySettings
from shared.broker.factory import connect_broker
from shared.clients.ledgers import LedgerClient
from shared.clients.peer import PATIENCE_S
from shared.clients.templates import TemplateClient
from shared.clients.users import UserClient
from shared.database.engine import Database
from shared.process.service_tokens import ServiceTokens
from tests.builders import a_recipient, a_registration, a_template_version
from tests.fakes.peers import FakePeers
from tests.integration.gateway.conftest import CHANNELS, Gateway
from tests.integration.gateway.conftest import MIGRATIONS as GATEWAY_MIGRATIONS
from tests.integration.gateway.failing import SCOPES
from tests.integration.services import PATIENT_S, SERVICE_SECRET, running_service
from tests.servers import MigratedDatabases
from user_service.main import create_app as create_user_service
from user_service.settings import UserServiceSettings

USER_MIGRATIONS = Path(user_service.__file__).parent / "storage" / "migrations"
HOST = "http://gateway"
UNTIL = re.compile(r'name="until" value="([^"]+)"')
TOKEN = re.compile(r'name="csrf_token" value="([0-9a-f]{64})"')


class Services(httpx.AsyncBaseTransport):
    """The way from the gateway to everybody else: accounts are real, the rest is a fake. `away`: hosts that
    refuse connections. `asked`: paths of the user service, in order."""

    def __init__(self, peers: FakePeers, users: httpx.AsyncBaseTransport) -> None:
        self._peers = peers.transport()
        self._users = users
        self.away: set[str] = set()
        self.asked: list[str] = []
        self.ready: dict[str, httpx.Response] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """By host and path."""
        path = request.url.path
        if request.url.host in self.away:
            raise httpx.ConnectError("refused", request=request)
        if path == "/ready":
            answer = self.ready.get(request.url.host)
            service = f"{request.url.host}_service"
            return answer or httpx.Response(200, json={"status": "ready", "service": service, "checks": {}})
        if request.url.host == "user" and (path.startswith("/internal/v1/auth/") or "jwks" in path):
            self.asked.append(path)
            return await self._users.handle_async_request(request)
        return await self._peers.handle_async_request(request)


@dataclass(kw_only=True)
class Scene:
    """`gateway` sends and fails notifications; `accounts` makes accounts."""

    gateway: Gateway
    services: Services
    accounts: httpx.AsyncClient
    passwords: dict[str, str] = field(default_factory=dict)

    async def account(self, role: str) -> dict[str, str]:
        """Email and password of a new one."""
        registration = a_registration()
        made = await self.accounts.post("/accounts", json={**registration, "role": role})
        assert made.status_code == 201, made.text
        return {"email": registration["email"], "password": registration["password"]}

    def browser(self, *, host: str = HOST, **headers: str) -> "Browser":
        """Somebody's, with cookies of its own."""
        transport = httpx.ASGITransport(app=self.gateway.app)
        return Browser(httpx.AsyncClient(transport=transport, base_url=host, headers=headers))

    async def logged_in(self, role: str = "operator") -> "Browser":
        """A browser of somebody with that role."""
        browser = self.browser()
        answer = await browser.log_in(**await self.account(role))
        assert answer.status_code == 303, answer.text
        return browser


class Browser:
    """As much of one as forms need: it keeps cookies, and takes the token out of the page before."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.page = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """A page."""
        answer = await self.http.get(path, headers=headers)
        self.page = answer.text
        return answer

    async def send(self, path: str, *, token: str | None = None, **fields: str) -> httpx.Response:
        """A form of the page before."""
        found = TOKEN.search(self.page)
        token = (found[1] if found else "") if token is None else token
        answer = await self.http.post(path, data={"csrf_token": token, **fields})
        if answer.text:
            self.page = answer.text
        return answer

    @property
    def until(self) -> str:
        """Of the forms of the page before: when it was made."""
        found = UNTIL.search(self.page)
        assert found is not None
        return found[1]

    async def log_in(self, *, email: str, password: str, next_page: str = "/console") -> httpx.Response:
        """By the form."""
        await self.get("/console/login")
        return await self.send("/console/login", email=email, password=password, next=next_page)


@asynccontextmanager
async def console_scene(
    databases: MigratedDatabases, broker_url: str, **changes: object
) -> AsyncIterator[Scene]:
    """Everything runs."""
    person = a_recipient()
    peers = FakePeers(
        recipients={person.id: person},
        templates={"order_shipped": a_template_version(required_variables=("name",))},
    )
    with databases.fresh(GATEWAY_MIGRATIONS) as gateway_url, databases.fresh(USER_MIGRATIONS) as user_url:
        user_settings = UserServiceSettings(
            environment="test",
            database_url=user_url,
            database_timeout_s=PATIENT_S,
            service_secret=SecretStr(SERVICE_SECRET),
            password_rounds=4,
        )
        async with running_service(create_user_service(user_settings), "user_service") as users:
            services = Services(peers, users.transport)
            settings = GatewaySettings.model_validate(
                {
                    "environment": "test",
                    "database_url": gateway_url,
                    "broker_url": broker_url,
                    "service_secret": SERVICE_SECRET,
                    "redis_url": "redis://127.0.0.1:1/0",
                    "user_service_url": "http://user",
                    "template_service_url": "http://template",
                    "channel_urls": CHANNELS,
                    "sweep_interval_s": 0.1,
                    "database_timeout_s": PATIENT_S,
                    **changes,
                }
            )
            async with _running(settings, services, peers) as gateway:
                yield Scene(gateway=gateway, services=services, accounts=users.internal)


@asynccontextmanager
async def _running(settings: GatewaySettings, services: Services, peers: FakePeers) -> AsyncIterator[Gateway]:
    tokens = ServiceTokens(settings.service_secret, settings.service_name)
    app = create_app(
        settings,
        user_client=UserClient("http://user", tokens, transport=services, lookup_timeout_s=60),
        template_client=TemplateClient("http://template", tokens, transport=services, patience_s=PATIENCE_S),
        ledger_client=LedgerClient(CHANNELS, tokens, transport=services),
        service_transport=services,
    )
    database = Database(settings.database_url)
    broker = connect_broker(settings.broker_url, client_name="test")
    await database.start()
    await broker.start(wait_s=10)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOST) as http,
    ):
        key = peers.add_key(scopes=SCOPES)
        yield Gateway(app=app, http=http, database=database, broker=broker, peers=peers, key=key)
    await broker.close()
    await database.close()


async def newest_failure(gateway: Gateway) -> UUID:
    """The id of the failure that was parked last."""
    rows = await gateway.sql("SELECT id FROM failed ORDER BY id DESC LIMIT 1")
    return UUID(str(rows[0]["id"]))
