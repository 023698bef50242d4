"""POST /notifications/batch."""

import asyncio
import time
from uuid import uuid4

import httpx

from shared.contracts.channels import Lane
from tests.integration.gateway.conftest import Gateway


async def post_batch(gateway: Gateway, entries: list[object], **headers: str) -> httpx.Response:
    return await gateway.http.post(
        "/api/v1/notifications/batch",
        json={"notifications": entries},
        headers={"Authorization": f"Bearer {gateway.key}", **headers},
    )


async def test_a_thousand_with_five_bad_ones_are_995_and_five_errors(gateway: Gateway) -> None:
    entries: list[object] = [gateway.a_request(variables={"name": str(number)}) for number in range(1000)]
    entries[7] = gateway.a_request(temlate_code="x")
    entries[100] = "not an object"
    entries[500] = gateway.a_request(variables={})
    entries[501] = gateway.a_request(user_id=str(uuid4()))
    entries[999] = gateway.a_request(variables={"name": "NUL \x00"})
    answer = await post_batch(gateway, entries)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (995, 5)
    assert [result["index"] for result in body["results"]] == list(range(1000))
    bad = {result["index"]: result["error"] for result in body["results"] if "error" in result}
    assert {index: error["errors"][0]["field"] for index, error in bad.items()} == {
        7: "temlate_code",
        100: "entry",
        500: "variables.name",
        501: "user_id",
        999: "variables",
    }
    assert all(error["status"] == 422 and error["type"].startswith("urn:") for error in bad.values())
    assert all(("id" in result) != ("error" in result) for result in body["results"])
    assert await gateway.count("notifications") == 995
    assert len(gateway.peers.questions) == 1
    orders = await gateway.released(995, lane=Lane.BULK)
    assert {str(order.notification_id) for order in orders} == {
        result["id"] for result in body["results"] if "id" in result
    }
    listed = await gateway.get(f"?batch_id={body['batch_id']}&limit=200")
    assert len(listed.json()["items"]) == 200


async def test_the_header_replays_the_whole_batch(gateway: Gateway) -> None:
    entries: list[object] = [gateway.a_request(), gateway.a_request(priority=99)]
    first = await post_batch(gateway, entries, **{"Idempotency-Key": "b1"})
    again = await post_batch(gateway, entries, **{"Idempotency-Key": "b1"})
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await post_batch(gateway, entries[:1], **{"Idempotency-Key": "b1"})
    assert other.status_code == 422
    assert await gateway.count("notifications") == 1


async def test_entries_have_keys_of_their_own(gateway: Gateway) -> None:
    keyed = gateway.a_request(idempotency_key="k1")
    single = await gateway.post(keyed)
    answer = (
        await post_batch(gateway, [keyed, keyed, gateway.a_request(idempotency_key="k1", priority=2)])
    ).json()
    ids = [result.get("id") for result in answer["results"]]
    assert ids == [single.json()["id"], single.json()["id"], None]
    assert answer["results"][2]["error"]["type"] == "urn:carillon:problem:idempotency_key_reused"
    assert await gateway.count("notifications") == 1


async def test_an_entry_that_postgresql_refuses_stands_alone(gateway: Gateway) -> None:
    await gateway.sql("ALTER TABLE notifications ADD CONSTRAINT picky CHECK (priority <> 3)")
    entries: list[object] = [gateway.a_request() for _ in range(20)]
    entries[11] = gateway.a_request(priority=3)
    answer = (await post_batch(gateway, entries)).json()
    assert (answer["accepted"], [r["index"] for r in answer["results"] if "error" in r]) == (19, [11])


async def test_an_entry_with_many_faults_names_twenty(gateway: Gateway) -> None:
    many = {f"k{number}": 1 for number in range(20)}
    answer = await post_batch(gateway, [gateway.a_request(**many, priority=99, category="?", metadata=[])])
    assert len(answer.json()["results"][0]["error"]["errors"]) == 20


async def test_a_batch_of_faults_does_not_hold_up_other_requests(gateway: Gateway) -> None:
    """A thousand entries with as many faults as can be written: nobody waits for all of them, which take some
    ten seconds.

    Measured in time of the processor, which a busy machine changes by two at most."""
    faults: dict[str, object] = {f"k{number}": [] for number in range(20)}
    entry = gateway.a_request(**faults, to=faults, content=faults, metadata=faults)
    batch = asyncio.create_task(post_batch(gateway, [entry] * 1_000))
    longest = 0.0
    while not batch.done():
        asked = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - asked)
    assert (await batch).json()["rejected"] == 1_000
    assert longest < 1.5


async def test_a_batch_has_1_to_1000_entries(gateway: Gateway) -> None:
    assert (await post_batch(gateway, [])).status_code == 422
    assert (await post_batch(gateway, [{}] * 1001)).status_code == 422
    assert await gateway.count("notifications") == 0
