"""The template service without its broker, and without its database."""

import httpx
from pydantic import SecretStr

from shared.database.migrations import migrate
from shared.process.service_tokens import ServiceTokens
from template_service.main import create_app
from template_service.settings import TemplateServiceSettings
from tests.builders import a_template
from tests.integration.services import SERVICE_SECRET
from tests.integration.template_service.conftest import MIGRATIONS

NOBODY = "postgresql://nobody@127.0.0.1:1/nothing"


def settings(*, database_url: str, broker_url: str) -> TemplateServiceSettings:
    """Of a service under test."""
    return TemplateServiceSettings(
        environment="test",
        database_url=database_url,
        broker_url=broker_url,
        service_secret=SecretStr(SERVICE_SECRET),
    )


def client(app: httpx.ASGITransport, tokens: ServiceTokens) -> httpx.AsyncClient:
    """Speaks as the gateway does."""
    headers = {"Authorization": f"Bearer {tokens.issue('template_service')}"}
    return httpx.AsyncClient(transport=app, base_url="http://t", headers=headers)


async def test_publish_succeeds_without_a_broker(database_url: str, service_tokens: ServiceTokens) -> None:
    await migrate(database_url, MIGRATIONS)
    app = create_app(settings(database_url=database_url, broker_url=NOBODY))
    async with (
        app.router.lifespan_context(app),
        client(httpx.ASGITransport(app=app), service_tokens) as internal,
    ):
        body = a_template()
        assert (await internal.post("/internal/v1/templates", json=body)).status_code == 201
        path = f"/internal/v1/templates/{body['code']}"
        assert (await internal.post(f"{path}/versions/1/publish")).status_code == 200
        assert (await internal.get(f"{path}/release")).json()["version"] == 1
        ready = await internal.get("/ready")
        assert ready.status_code == 503
        checks = ready.json()["checks"]
        assert (checks["database"]["ok"], checks["broker"]["ok"]) == (True, False)


async def test_database_away_is_answered_with_503(database_url: str, service_tokens: ServiceTokens) -> None:
    app = create_app(settings(database_url=NOBODY, broker_url=database_url))
    async with (
        app.router.lifespan_context(app),
        client(httpx.ASGITransport(app=app), service_tokens) as internal,
    ):
        for path in ("/templates", "/templates/x/release"):
            answer = await internal.get(f"/internal/v1{path}")
            assert answer.status_code == 503
            assert answer.headers["Retry-After"]
