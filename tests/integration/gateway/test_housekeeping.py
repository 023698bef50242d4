"""What is done once in a while."""

import asyncio
from datetime import UTC, datetime, timedelta

from gateway_service.messaging.housekeeping import Housekeeping
from gateway_service.storage.partitions import ensure_partitions, first_id
from tests.fakes.peers import FakePeers
from tests.integration.gateway.conftest import Gateway, StartGateway, eventually, running_gateway


class FixedClock:
    """Stands still."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """Always the same."""
        return self._at


async def test_a_notification_lands_in_its_month_and_coming_months_are_made_once(gateway: Gateway) -> None:
    await gateway.post(gateway.a_request())
    assert await gateway.count("notifications_other") == 0
    ahead = datetime.now(UTC) + timedelta(days=200)
    await asyncio.gather(*(ensure_partitions(gateway.database, ahead) for _ in range(3)))
    await gateway.sql(
        """
        INSERT INTO notifications SELECT ($1::text)::uuid AS id, owner, user_id, external_id, to_address,
            notification_type, template_code, template_version, language, variables, content, priority, lane,
            category, metadata, status, run, error, error_kind, possible_duplicate, scheduled_at, expires_at,
            test, batch_id, event_id, correlation_id, created_at, updated_at, timeline FROM notifications
        """,
        str(first_id(ahead)),
    )
    assert await gateway.count(f"notifications_{ahead:%Y_%m}") == 1
    assert await gateway.count("notifications_other") == 0


async def test_keys_are_kept_two_days(gateway: Gateway) -> None:
    body = gateway.a_request(idempotency_key="k")
    first = (await gateway.post(body)).json()["id"]
    now = datetime.now(UTC)
    soon = Housekeeping(gateway.database, FixedClock(now + timedelta(hours=47)))
    assert await soon.forget_keys_now() == 0
    later = Housekeeping(gateway.database, FixedClock(now + timedelta(hours=49)))
    assert await later.forget_keys_now() == 1
    assert (await gateway.post(body)).json()["id"] != first


async def test_metrics_tell_of_the_outbox(gateway: Gateway) -> None:
    await gateway.post(gateway.a_request())
    watching = asyncio.create_task(Housekeeping(gateway.database, FixedClock(datetime.now(UTC))).watch())

    async def are_told() -> bool:
        text = (await gateway.http.get("/metrics")).text
        return 'carillon_notifications_accepted_total{channel="email",lane="normal"}' in text and (
            "carillon_outbox_oldest_unpublished_seconds" in text
        )

    await eventually(are_told)
    watching.cancel()


async def test_a_stop_publishes_what_was_accepted(
    migrated_url: str, second_database_url: str, peers: FakePeers, start_gateway: StartGateway
) -> None:
    async with running_gateway(migrated_url, second_database_url, peers, sweep_interval_s=60) as gateway:
        answers = await asyncio.gather(*(gateway.post(gateway.a_request()) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    other = await start_gateway(sweep_interval_s=60)
    assert len(await other.released(100)) == 100
    rows = await other.sql("SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
    assert rows[0]["n"] == 0
