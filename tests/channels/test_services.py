"""The two channel services as processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from carillon.embedded.ports import free_port
from tests.fakes.fcm import FakeFcm
from tests.fakes.smtp import FakeSmtpServer

SECRET = "a secret of thirty-two bytes or more"


@asynccontextmanager
async def running(module: str, **variables: str) -> AsyncIterator[httpx.AsyncClient]:
    """The service, migrated and answering /health; it must stop cleanly when told to."""
    port = free_port()
    environment = os.environ | {
        "CARILLON_PORT": str(port),
        "CARILLON_SERVICE_SECRET": SECRET,
        "CARILLON_USER_SERVICE_URL": "http://127.0.0.1:1",
        "CARILLON_TEMPLATE_SERVICE_URL": "http://127.0.0.1:1",
        **variables,
    }
    migration = await asyncio.create_subprocess_exec(sys.executable, "-m", module, "migrate", env=environment)
    assert await migration.wait() == 0
    service = await asyncio.create_subprocess_exec(sys.executable, "-m", module, env=environment)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            async with asyncio.timeout(30):
                while not await _healthy(client):
                    assert service.returncode is None
                    await asyncio.sleep(0.05)
            yield client
    finally:
        if service.returncode is None:
            service.send_signal(signal.SIGTERM)
        async with asyncio.timeout(25):
            assert await service.wait() == 0


async def _healthy(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health")).status_code == 200
    except httpx.TransportError:
        return False


async def checks(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/ready")
    assert answer.status_code == 503  # user and template service are away in these tests
    found: dict[str, Any] = answer.json()["checks"]
    return found


def breakers(found: dict[str, Any]) -> set[str]:
    return {name for name, check in found.items() if name.startswith("breaker ") and not check["required"]}


async def until_ok(client: httpx.AsyncClient, name: str) -> None:
    async with asyncio.timeout(20):
        while not (await checks(client))[name]["ok"]:
            await asyncio.sleep(0.2)


@pytest.fixture
def servers(database_url: str, second_database_url: str) -> dict[str, str]:
    return {"CARILLON_DATABASE_URL": database_url, "CARILLON_BROKER_URL": second_database_url}


async def test_email_service_starts_without_its_mail_server_and_says_so(servers: dict[str, str]) -> None:
    mail_server = FakeSmtpServer()
    async with mail_server:
        pass  # takes a port, and is gone again
    async with running("email_service", CARILLON_SMTP_PORT=str(mail_server.port), **servers) as client:
        found = await checks(client)
        assert not found["provider smtp"]["ok"]
        assert "mail server" in found["provider smtp"]["detail"]
        assert breakers(found) == {"breaker smtp", "breaker user_service", "breaker template_service"}
        async with mail_server:
            await until_ok(client, "provider smtp")
            await until_ok(client, "database")
            await until_ok(client, "broker")


async def test_push_service_starts_without_its_account_and_says_so(
    servers: dict[str, str], tmp_path: Path
) -> None:
    async with FakeFcm() as fcm:
        account = tmp_path / "account.json"
        async with running(
            "push_service", CARILLON_FCM_URL=fcm.url, CARILLON_FCM_CREDENTIALS_FILE=str(account), **servers
        ) as client:
            found = await checks(client)
            assert "No such file" in found["provider fcm"]["detail"]
            assert breakers(found) == {"breaker fcm", "breaker user_service", "breaker template_service"}
            fcm.write_account(tmp_path)
            await until_ok(client, "provider fcm")
            await until_ok(client, "broker")


@pytest.mark.parametrize(
    ("module", "variables", "complaint"),
    [
        ("email_service", {"CARILLON_EMAIL_FROM": "Carillon"}, "CARILLON_EMAIL_FROM"),
        ("email_service", {"CARILLON_SMTP_TLS": "ssl"}, "CARILLON_SMTP_TLS"),
        ("push_service", {"CARILLON_FCM_TIMEOUT_S": "0"}, "CARILLON_FCM_TIMEOUT_S"),
    ],
)
async def test_wrong_setting_is_named_in_one_sentence(
    module: str, variables: dict[str, str], complaint: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env=os.environ | variables, stderr=asyncio.subprocess.PIPE
    )
    _, complaints = await process.communicate()
    assert process.returncode == 2
    assert complaint in complaints.decode()
    assert len(complaints.decode().splitlines()) == 1
