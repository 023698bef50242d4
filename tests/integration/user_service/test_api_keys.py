"""API keys: shown once, never more than their owner, and ended when told."""

import httpx
import pytest

from shared.database.engine import Database
from tests.integration.user_service.gateway import Gateway


async def test_secret_is_shown_once_and_works(gateway: Gateway) -> None:
    admin = await gateway.person("admin")
    made = await admin.client.post(
        "/api-keys", json={"name": "orders", "kind": "test", "scopes": ["users:read"]}
    )
    assert made.status_code == 201, made.text
    secret = made.json()["secret"]
    assert secret.startswith("ck_test_")
    assert made.headers["Cache-Control"] == "no-store"
    assert (await gateway.with_bearer(secret).get("/users")).status_code == 200

    listed = await admin.client.get("/api-keys")
    assert [key["id"] for key in listed.json()["items"]] == [made.json()["id"]]
    assert secret not in listed.text
    assert listed.json()["items"][0]["hint"] == secret[-4:]


async def test_database_holds_no_secret(gateway: Gateway, user_database: str) -> None:
    admin = await gateway.person("admin")
    secret = await gateway.api_key(admin, "users:read")
    database = Database(user_database)
    await database.start()
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT k::text FROM api_keys k UNION ALL SELECT u::text FROM users u")
    await database.close()
    text = " ".join(row[0] for row in rows)
    assert secret[8:] not in text
    assert admin.password not in text


async def test_key_cannot_do_more_than_its_owner(gateway: Gateway) -> None:
    operator = await gateway.person("operator")
    refused = await operator.client.post(
        "/api-keys", json={"name": "x", "scopes": ["failed:read", "users:write", "notifications:send"]}
    )
    assert refused.status_code == 403
    assert "notifications:send, users:write" in refused.json()["detail"]
    assert "failed:read" not in refused.json()["detail"]


async def test_key_without_the_scope_is_refused(gateway: Gateway) -> None:
    admin = await gateway.person("admin")
    key = gateway.with_bearer(await gateway.api_key(admin, "notifications:send"))
    for path in ("/users", f"/users/{admin.id}"):
        assert (await key.get(path)).status_code == 403


async def test_keys_are_not_managed_with_keys(gateway: Gateway) -> None:
    admin = await gateway.person("admin")
    key = gateway.with_bearer(await gateway.api_key(admin, "users:read"))
    assert (await key.post("/api-keys", json={"name": "x", "scopes": ["users:read"]})).status_code == 403
    assert (await key.get("/api-keys")).status_code == 403


async def test_somebody_elses_key_is_not_there(gateway: Gateway) -> None:
    ann, bob = await gateway.person("admin"), await gateway.person("admin")
    await gateway.api_key(ann, "users:read")
    key_id = (await ann.client.get("/api-keys")).json()["items"][0]["id"]
    assert (await bob.client.get("/api-keys")).json()["items"] == []
    assert (await bob.client.delete(f"/api-keys/{key_id}")).status_code == 404
    assert (await ann.client.delete(f"/api-keys/{key_id}")).status_code == 204


@pytest.mark.parametrize("ending", ["revoked", "owner_erased"])
async def test_ended_key_is_unknown(gateway: Gateway, ending: str) -> None:
    admin = await gateway.person("admin")
    secret = await gateway.api_key(admin, "users:read")
    if ending == "revoked":
        key_id = (await admin.client.get("/api-keys")).json()["items"][0]["id"]
        await admin.client.delete(f"/api-keys/{key_id}")
    else:
        await admin.client.delete("/users/me")
    assert (await gateway.with_bearer(secret).get("/users")).status_code == 401


async def test_digest_that_is_none_is_refused(internal: httpx.AsyncClient) -> None:
    for digest in ("", "zz", "ab"):
        answer = await internal.post("/api-keys/verify", json={"digest": digest})
        assert answer.status_code in {404, 422}
