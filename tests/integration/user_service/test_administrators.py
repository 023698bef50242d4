"""There is always an administrator, and whoever starts Carillon knows one."""

import asyncio
from pathlib import Path

import pytest

from carillon.home import Home
from carillon.onboarding import FirstCredentials, Onboarding
from tests.builders import a_registration
from tests.integration.services import SERVICE_SECRET, RunningService
from tests.integration.user_service.conftest import running_user_service


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A state folder without anything."""
    home = Home(tmp_path / "home")
    home.open()
    return home


async def start(service: RunningService, home: Home) -> FirstCredentials:
    """What `carillon up` does with its credentials."""
    onboarding = Onboarding(
        url="http://user_service", service_secret=SERVICE_SECRET, transport=service.transport
    )
    return await onboarding.first_credentials(home)


async def role_of(service: RunningService, credentials: FirstCredentials) -> str:
    """Whether one can log in with what was printed, and as what."""
    login = {"email": credentials.email, "password": credentials.password}
    answer = await service.internal.post("/auth/token", json=login)
    assert answer.status_code == 200, answer.text
    listed = (await service.internal.get("/users", params={"email": credentials.email})).json()["items"]
    return str(listed[0]["role"])


async def an_admin(service: RunningService, **changes: str) -> str:
    made = await service.internal.post("/accounts", json={**a_registration(**changes), "role": "admin"})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def test_the_last_administrator_stays(database_url: str) -> None:
    async with running_user_service(database_url) as service:
        first, second = await an_admin(service), await an_admin(service)
        person = (await service.internal.post("/users", json={"name": "Ann"})).json()["id"]
        assert (await service.internal.delete(f"/users/{first}")).status_code == 204
        refused = await service.internal.delete(f"/users/{second}")
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:carillon:problem:last_admin")
        assert (await service.internal.get(f"/users/{second}")).status_code == 200
        assert (await service.internal.delete(f"/users/{person}")).status_code == 204


async def test_of_administrators_who_are_all_erased_at_once_one_stays(database_url: str) -> None:
    async with running_user_service(database_url) as service:
        for _ in range(5):
            await asyncio.gather(*(an_admin(service) for _ in range(4)))
            listed = (await service.internal.get("/users")).json()["items"]
            answers = await asyncio.gather(
                *(service.internal.delete(f"/users/{each['id']}") for each in listed)
            )
            assert sorted(answer.status_code for answer in answers) == [204] * (len(listed) - 1) + [409]
            assert len((await service.internal.get("/users")).json()["items"]) == 1


async def test_each_start_gives_the_same_login(database_url: str, home: Home) -> None:
    async with running_user_service(database_url) as service:
        credentials = await start(service, home)
        assert credentials.email == "admin@example.com"
        assert await start(service, home) == credentials
        assert await role_of(service, credentials) == "admin"


@pytest.mark.parametrize("role", ["admin", "user"])
async def test_where_somebody_else_has_the_address_a_further_administrator_is_made(
    database_url: str, home: Home, role: str
) -> None:
    async with running_user_service(database_url) as service:
        taken = {**a_registration(email="admin@example.com"), "role": role}
        assert (await service.internal.post("/accounts", json=taken)).status_code == 201
        credentials = await start(service, home)
        assert credentials.email != "admin@example.com"
        assert await role_of(service, credentials) == "admin"
        assert await start(service, home) == credentials


async def test_an_erased_administrator_does_not_stand_in_the_way(database_url: str, home: Home) -> None:
    async with running_user_service(database_url) as service:
        first = await start(service, home)
        await an_admin(service)
        listed = (await service.internal.get("/users", params={"email": first.email})).json()["items"]
        assert (await service.internal.delete(f"/users/{listed[0]['id']}")).status_code == 204
        again = await start(service, home)
        assert again.api_key != first.api_key
        assert await role_of(service, again) == "admin"


async def test_an_account_that_lost_its_role_is_not_printed_as_an_administrator(
    database_url: str, home: Home
) -> None:
    async with running_user_service(database_url) as service:
        password = home.secret("admin_password", lambda: "correct horse battery")
        plain = {**a_registration(email="admin@example.com", password=password), "role": "user"}
        assert (await service.internal.post("/accounts", json=plain)).status_code == 201
        assert await role_of(service, await start(service, home)) == "admin"
