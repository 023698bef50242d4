"""Users through the gateway: who may see and change what."""

import asyncio

import pytest

from shared.process.identifiers import uuid7
from tests.builders import an_email
from tests.integration.user_service.gateway import Gateway


async def test_recipient_is_made_read_changed_and_erased(gateway: Gateway) -> None:
    admin = await gateway.person("admin")
    external_id = f"customer-{uuid7()}"
    made = await admin.client.post(
        "/users",
        json={
            "name": "Ann",
            "email": an_email(),
            "phone": "+33612345678",
            "external_id": external_id,
            "language": "fr-ca",
            "timezone": "America/Montreal",
        },
    )
    assert made.status_code == 201, made.text
    user = f"/users/{made.json()['id']}"
    assert made.headers["Location"] == f"/api/v1{user}"
    assert made.json()["language"] == "fr-CA"
    assert made.json()["created_at"].endswith("Z")

    changed = await admin.client.patch(user, json={"phone": None, "name": "Anne"})
    assert changed.status_code == 200
    assert (changed.json()["phone"], changed.json()["name"]) == (None, "Anne")
    assert changed.json()["external_id"] == external_id

    assert (await admin.client.delete(user)).status_code == 204
    assert (await admin.client.get(user)).status_code == 404
    assert (await admin.client.delete(user)).status_code == 404
    again = await admin.client.post("/users", json={"name": "Ann", "external_id": external_id})
    assert again.status_code == 201


async def test_external_id_is_unique(gateway: Gateway) -> None:
    admin = await gateway.person("admin")
    new = {"name": "Ann", "external_id": f"customer-{uuid7()}"}
    await admin.client.post("/users", json=new)
    refused = await admin.client.post("/users", json=new)
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:carillon:problem:external_id_taken"


async def test_list_goes_through_everybody_newest_first(gateway: Gateway) -> None:
    admin = await gateway.person("admin")
    email = an_email()
    made = [
        (await admin.client.post("/users", json={"name": str(n), "email": email})).json()["id"]
        for n in range(5)
    ]
    found: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = await admin.client.get(
            "/users", params={"limit": 2, "email": email.upper(), **({"cursor": cursor} if cursor else {})}
        )
        found += [user["id"] for user in page.json()["items"]]
        cursor = page.json()["next_cursor"]
    assert found == made[::-1]
    assert cursor is None


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "cursor=nonsense", "emial=x", "email=%00"])
async def test_wrong_query_is_refused(gateway: Gateway, query: str) -> None:
    admin = await gateway.person("admin")
    assert (await admin.client.get(f"/users?{query}")).status_code == 422


async def test_person_sees_nobody_else(gateway: Gateway) -> None:
    ann, bob = await gateway.person(), await gateway.person()
    for method, path in (
        ("GET", f"/users/{bob.id}"),
        ("PATCH", f"/users/{bob.id}"),
        ("DELETE", f"/users/{bob.id}"),
        ("GET", f"/users/{bob.id}/preferences"),
        ("PATCH", f"/users/{bob.id}/preferences"),
        ("PUT", f"/users/{bob.id}/preferences"),
        ("GET", f"/users/{bob.id}/devices"),
        ("DELETE", f"/users/{bob.id}/devices/{uuid7()}"),
    ):
        body: dict[str, object] | None = {} if method in {"PATCH", "PUT"} else None
        there = await ann.client.request(method, path, json=body)
        nowhere = await ann.client.request(method, path.replace(bob.id, str(uuid7())), json=body)
        assert there.status_code == nowhere.status_code == 404, (method, path)
        assert there.json()["detail"] == nowhere.json()["detail"]
    assert (await bob.client.get("/users/me")).status_code == 200


async def test_routes_that_need_a_scope_outright_say_so(gateway: Gateway) -> None:
    for role in ("user", "operator"):
        person = await gateway.person(role)
        assert (await person.client.get("/users")).status_code == 403
        refused = await person.client.post("/users", json={"name": "x"})
        assert refused.status_code == 403
        assert "users:write" in refused.json()["detail"]


async def test_person_changes_their_own_data_but_not_who_they_are_to_senders(gateway: Gateway) -> None:
    person = await gateway.person()
    email = an_email()
    changed = await person.client.patch("/users/me", json={"name": "Anne", "email": email})
    assert changed.status_code == 200, changed.text
    assert changed.json()["email"] == email
    assert (await person.client.patch("/users/me", json={"external_id": "x"})).status_code == 403
    assert (await person.client.patch("/users/me", json={"role": "admin"})).status_code == 422
    assert (await person.client.patch("/users/me", json={"email": None})).status_code == 422


async def test_new_address_of_ones_own_is_not_verified(gateway: Gateway) -> None:
    person = await gateway.person()
    assert (await person.client.get("/users/me")).json()["email_verified"] is True
    changed = await person.client.patch("/users/me", json={"email": an_email()})
    assert changed.json()["email_verified"] is False


async def test_taken_address_cannot_be_changed_to(gateway: Gateway) -> None:
    ann, bob = await gateway.person(), await gateway.person()
    assert (await ann.client.patch("/users/me", json={"email": bob.email})).status_code == 409


async def test_person_erases_themselves_for_good(gateway: Gateway) -> None:
    person = await gateway.person()
    await person.client.post("/users/me/devices", json={"platform": "ios", "token": f"t-{uuid7()}"})
    assert (await person.client.delete("/users/me")).status_code == 204
    assert (await person.client.get("/users/me")).status_code == 404
    assert (await gateway.log_in(person.email, person.password)).status_code == 401
    refreshed = await gateway.anonymous.post("/auth/refresh", json={"refresh_token": person.refresh_token})
    assert refreshed.status_code == 401


async def test_key_that_may_write_users_cannot_get_at_an_administrator(gateway: Gateway) -> None:
    admin, person = await gateway.person("admin"), await gateway.person()
    key = gateway.with_bearer(await gateway.api_key(admin, "users:write", "users:read"))
    assert (await key.patch(f"/users/{admin.id}", json={"email": an_email()})).status_code == 403
    assert (await key.delete(f"/users/{admin.id}")).status_code == 403
    phone = {"platform": "ios", "token": f"phone-{uuid7()}"}
    device = (await admin.client.post("/users/me/devices", json=phone)).json()["id"]
    assert (await key.put(f"/users/{admin.id}/preferences", json={})).status_code == 403
    assert (await key.patch(f"/users/{admin.id}/preferences", json={})).status_code == 403
    assert (await key.post(f"/users/{admin.id}/devices", json=phone)).status_code == 403
    assert (await key.delete(f"/users/{admin.id}/devices/{device}")).status_code == 403
    assert (await key.get(f"/users/{admin.id}/preferences")).status_code == 200
    assert (await key.patch(f"/users/{person.id}", json={"name": "Anne"})).status_code == 200
    assert (await key.put(f"/users/{person.id}/preferences", json={})).status_code == 200
    assert (await key.post(f"/users/{person.id}/devices", json=phone)).status_code == 201
    assert (await key.patch(f"/users/{uuid7()}/preferences", json={})).status_code == 404


async def test_key_is_nobody(gateway: Gateway) -> None:
    admin = await gateway.person("admin")
    key = gateway.with_bearer(await gateway.api_key(admin, "users:read"))
    assert (await key.get("/users/me")).status_code == 404
    assert (await key.get(f"/users/{admin.id}")).status_code == 200
    assert (await key.patch(f"/users/{admin.id}", json={})).status_code == 403


async def test_preferences_begin_with_everything_on_and_keep_what_is_changed(gateway: Gateway) -> None:
    person = await gateway.person()
    assert (await person.client.get("/users/me/preferences")).json() == {
        "email_enabled": True,
        "push_enabled": True,
        "sms_enabled": True,
        "whatsapp_enabled": True,
        "slack_enabled": True,
        "inbox_enabled": True,
        "categories": {},
        "quiet_hours": None,
        "timezone": "UTC",
        "language": None,
    }
    patched = await person.client.patch(
        "/users/me/preferences",
        json={
            "categories": {"promotional": {"email": False}},
            "quiet_hours": {"start": "22:00", "end": "07:00"},
        },
    )
    assert patched.status_code == 200, patched.text
    await person.client.patch("/users/me/preferences", json={"push_enabled": False, "timezone": "Asia/Tokyo"})
    kept = (await person.client.get("/users/me/preferences")).json()
    assert kept["categories"] == {"promotional": {"email": False}}
    assert kept["quiet_hours"] == {"start": "22:00", "end": "07:00"}
    assert kept["push_enabled"] is False
    assert (await person.client.get("/users/me")).json()["timezone"] == "Asia/Tokyo"

    replaced = await person.client.put("/users/me/preferences", json={"email_enabled": False})
    assert replaced.json()["categories"] == {}
    assert replaced.json()["push_enabled"] is True
    assert replaced.json()["timezone"] == "UTC"


async def test_changes_of_preferences_at_once_are_all_kept(gateway: Gateway) -> None:
    person = await gateway.person()
    categories = [f"news_{number}" for number in range(10)]
    answers = await asyncio.gather(
        *(
            person.client.patch("/users/me/preferences", json={"categories": {name: {"email": False}}})
            for name in categories
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    kept = (await person.client.get("/users/me/preferences")).json()["categories"]
    assert sorted(kept) == categories


async def test_devices_are_many_and_each_is_kept_once(gateway: Gateway) -> None:
    person = await gateway.person()
    phone = {"platform": "android", "token": f"phone-{uuid7()}"}
    browser = {
        "platform": "web",
        "subscription": {
            "endpoint": f"https://push.example/{uuid7()}",
            "expirationTime": None,
            "keys": {"p256dh": "B" + "A" * 86, "auth": "a" * 22},
        },
    }
    first = await person.client.post("/users/me/devices", json=phone)
    assert first.status_code == 201, first.text
    assert first.headers["Location"].endswith(f"/devices/{first.json()['id']}")
    again = await person.client.post("/users/me/devices", json=phone)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    second = await person.client.post("/users/me/devices", json=browser)
    assert second.status_code == 201, second.text

    listed = (await person.client.get("/users/me/devices")).json()
    assert [device["id"] for device in listed["items"]] == [second.json()["id"], first.json()["id"]]
    assert listed["items"][0]["subscription"]["keys"] == browser["subscription"]["keys"]  # type: ignore[index]

    removed = f"/users/me/devices/{first.json()['id']}"
    assert [(await person.client.delete(removed)).status_code for _ in range(2)] == [204, 404]


async def test_device_moves_to_whoever_logs_in_on_it(gateway: Gateway) -> None:
    ann, bob = await gateway.person(), await gateway.person()
    device = {"platform": "ios", "token": f"shared-{uuid7()}"}
    await ann.client.post("/users/me/devices", json=device)
    assert (await bob.client.post("/users/me/devices", json=device)).status_code == 201
    assert (await ann.client.get("/users/me/devices")).json()["items"] == []
    assert len((await bob.client.get("/users/me/devices")).json()["items"]) == 1


async def test_number_of_devices_is_bounded(gateway: Gateway) -> None:
    person = await gateway.person()
    answers = [
        await person.client.post("/users/me/devices", json={"platform": "ios", "token": f"{uuid7()}"})
        for _ in range(101)
    ]
    assert [answer.status_code for answer in answers] == [201] * 100 + [409]
    assert len((await person.client.get("/users/me/devices?limit=200")).json()["items"]) == 100
