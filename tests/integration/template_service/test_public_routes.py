"""Templates through the gateway: public routes in front, the real template service behind."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from gateway_service.main import create_app
from gateway_service.settings import GatewaySettings
from shared.clients.templates import TemplateClient
from shared.clients.users import UserClient
from shared.process.service_tokens import ServiceTokens
from tests.builders import a_template
from tests.fakes.peers import FakePeers
from tests.integration.services import SERVICE_SECRET


@pytest.fixture
def peers() -> FakePeers:
    """Stands for the user service, which knows the keys."""
    return FakePeers()


@pytest.fixture
async def gateway(
    template_app: httpx.ASGITransport, service_tokens: ServiceTokens, peers: FakePeers
) -> AsyncIterator[httpx.AsyncClient]:
    """Its public routes."""
    templates = TemplateClient("http://template_service", service_tokens, transport=template_app)
    users = UserClient("http://user_service", service_tokens, transport=peers.transport())
    settings = GatewaySettings(environment="test", service_secret=SecretStr(SERVICE_SECRET))
    app = create_app(settings, user_client=users, template_client=templates)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://gateway/api/v1"
    ) as client:
        yield client
    await app.state.access.close()
    await templates.close()
    await users.close()


def bearer(key: str) -> dict[str, str]:
    """The header of a caller."""
    return {"Authorization": f"Bearer {key}"}


async def test_template_goes_from_draft_to_published(gateway: httpx.AsyncClient, peers: FakePeers) -> None:
    headers = bearer(peers.add_key(scopes=("templates:read", "templates:write")))
    body = a_template()
    made = await gateway.post("/templates", json=body, headers=headers)
    assert made.status_code == 201, made.text
    path = made.headers["Location"].removeprefix("/api/v1")
    assert path == f"/templates/{body['code']}"
    again = await gateway.put(path, json={"language": "fr", "subject": "x", "body": "y"}, headers=headers)
    assert again.json()["version"] == 2
    published = await gateway.post(f"{path}/versions/1/publish", headers=headers)
    assert published.json()["status"] == "published"
    assert (await gateway.get(path, params={"language": "fr-CA"}, headers=headers)).json()["version"] == 1
    assert (await gateway.get(path, params={"version": 2}, headers=headers)).json()["language"] == "fr"
    versions = (await gateway.get(f"{path}/versions", headers=headers)).json()
    assert [item["version"] for item in versions["items"]] == [2, 1]
    listed = (await gateway.get("/templates", params={"limit": 1}, headers=headers)).json()
    assert listed["items"][0]["code"] == body["code"]
    preview = await gateway.post(
        f"{path}/preview", json={"variables": {"name": "Ann", "order": 7}}, headers=headers
    )
    assert preview.json()["subject"] == "Your order 7"
    assert (await gateway.delete(path, headers=headers)).status_code == 204
    assert (await gateway.get(path, headers=headers)).status_code == 404


async def test_refusal_of_the_service_reaches_the_caller(
    gateway: httpx.AsyncClient, peers: FakePeers
) -> None:
    headers = bearer(peers.add_key(scopes=("templates:write",)))
    answer = await gateway.post("/templates", json=a_template(body="\n{{ name }"), headers=headers)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == "body"
    assert "line 2" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/templates"),
        ("GET", "/templates/x"),
        ("GET", "/templates/x/versions"),
        ("POST", "/templates/x/versions/1/publish"),
        ("DELETE", "/templates/x"),
    ],
)
async def test_each_route_needs_its_scope(
    gateway: httpx.AsyncClient, peers: FakePeers, method: str, path: str
) -> None:
    assert (await gateway.request(method, path)).status_code == 401
    other = "templates:write" if method == "GET" else "templates:read"
    headers = bearer(peers.add_key(scopes=(other,)))
    assert (await gateway.request(method, path, headers=headers)).status_code == 403


async def test_unknown_template_is_404(gateway: httpx.AsyncClient, peers: FakePeers) -> None:
    headers = bearer(peers.add_key(scopes=("templates:read", "templates:write")))
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/versions/1/publish"), ("GET", "/versions")):
        answer = await gateway.request(method, f"/templates/nobody_made_it{path}", headers=headers)
        assert answer.status_code == 404, path
    preview = await gateway.post("/templates/nobody_made_it/preview", json={}, headers=headers)
    assert preview.status_code == 404
