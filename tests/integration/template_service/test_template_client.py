"""A change of a template is seen by every process within a second."""

import asyncio
import time

import httpx
import pytest

from shared.clients.templates import TemplateClient
from shared.process.service_tokens import ServiceTokens
from tests.builders import a_template


async def published(internal: httpx.AsyncClient) -> str:
    """The code of a template whose first version is published."""
    answer = await internal.post("/templates", json=a_template())
    code = str(answer.json()["code"])
    assert (await internal.post(f"/templates/{code}/versions/1/publish")).status_code == 200
    return code


async def publish_another(internal: httpx.AsyncClient, code: str) -> int:
    """Make a further version, and publish it."""
    body = {"language": "en", "subject": "New", "body": "<p>New</p>"}
    version = int((await internal.put(f"/templates/{code}", json=body)).json()["version"])
    assert (await internal.post(f"/templates/{code}/versions/{version}/publish")).status_code == 200
    return version


async def seen_after(client: TemplateClient, code: str, version: int | None, *, limit_s: float) -> float:
    """Seconds until the client answers `version`; it is asked all the time."""
    started = time.monotonic()
    while time.monotonic() - started < limit_s:
        template = await client.released(code, "en")
        if (template.version if template else None) == version:
            break
        await asyncio.sleep(0.005)
    return time.monotonic() - started


async def test_published_change_is_seen_within_a_second(
    internal: httpx.AsyncClient, worker_client: TemplateClient
) -> None:
    code = await published(internal)
    first = await worker_client.released(code, "en")
    assert first is not None
    for _ in range(5):
        version = await publish_another(internal, code)
        assert await seen_after(worker_client, code, version, limit_s=2) < 1


async def test_deletion_is_seen_within_a_second(
    internal: httpx.AsyncClient, worker_client: TemplateClient
) -> None:
    code = await published(internal)
    assert await worker_client.released(code, "en") is not None
    assert (await internal.delete(f"/templates/{code}")).status_code == 204
    assert await seen_after(worker_client, code, None, limit_s=2) < 1


async def test_change_is_seen_within_a_second_without_broadcasts(
    internal: httpx.AsyncClient, template_app: httpx.ASGITransport, service_tokens: ServiceTokens
) -> None:
    client = TemplateClient("http://template_service", service_tokens, transport=template_app)
    code = await published(internal)
    assert await client.released(code, "en") is not None
    version = await publish_another(internal, code)
    assert await seen_after(client, code, version, limit_s=3) < 1.2
    await client.close()


async def test_pinned_version_outlives_its_template(
    internal: httpx.AsyncClient, worker_client: TemplateClient
) -> None:
    code = await published(internal)
    await internal.delete(f"/templates/{code}")
    pinned = await worker_client.version(code, 1)
    assert pinned is not None
    assert pinned.required_variables == ("name", "order")
    assert await worker_client.version(code, 2) is None


async def test_code_from_outside_cannot_leave_its_path(worker_client: TemplateClient) -> None:
    for code in ("../users", "a/b", "a?language=fr", "%2e%2e", "é"):
        assert await worker_client.released(code, None) is None


async def test_ping_answers(worker_client: TemplateClient) -> None:
    await worker_client.ping()


@pytest.mark.parametrize("language", ["fr-CA", "FR-ca", None])
async def test_any_spelling_of_a_language_is_understood(
    internal: httpx.AsyncClient, worker_client: TemplateClient, language: str | None
) -> None:
    code = await published(internal)
    template = await worker_client.released(code, language)
    assert template is not None
    assert template.language == "en"
