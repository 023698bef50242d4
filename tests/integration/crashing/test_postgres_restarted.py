"""PostgreSQL dies between the provider's yes and its settlement, and comes back."""

import asyncio
from pathlib import Path

import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from email_service.settings import EmailSettings
from shared.contracts.channels import Channel
from shared.contracts.delivery import DeliveryState
from shared.database.migrations import ensure_database, migrate
from shared.delivery.ledger import MIGRATIONS
from tests.integration.crashing.conftest import opened_scene, settings_for
from tests.integration.crashing.scene import eventually
from tests.integration.crashing.sink import Sink, Stage

CATEGORIES = ("transactional", "promotional", "security")


@pytest.mark.parametrize("transport", ["postgres", "rabbitmq"])
async def test_a_yes_outlives_a_postgresql_that_is_killed_before_it_is_settled(
    transport: str,
    private_postgres: EmbeddedPostgres,
    sink: Sink,
    peers_url: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """With the broker in the PostgreSQL that dies, and with RabbitMQ beside it."""
    ledger_url = private_postgres.database_url("ledger")
    await ensure_database(ledger_url)
    await migrate(ledger_url, MIGRATIONS)
    broker_url = (
        private_postgres.database_url("broker_db")
        if transport == "postgres"
        else request.getfixturevalue("vhost_url")
    )
    surroundings = settings_for(ledger_url=ledger_url, broker_url=broker_url, peers_url=peers_url)
    settings = EmailSettings.model_validate(surroundings | {"smtp_port": sink.port, "smtp_timeout_s": 20.0})
    log = tmp_path / "log"
    async with opened_scene(settings, Channel.EMAIL, copies=sink.copies_of, log=log) as scene:
        worker = scene.worker()
        holds = [sink.hold_next(Stage.TAKEN) for _ in CATEGORIES]
        await scene.gateway.order(*CATEGORIES)
        for hold in holds:
            await hold.reached()
        await asyncio.to_thread(private_postgres.kill)
        for hold in holds:
            hold.release()

        async def tries_in_vain() -> bool:
            return log.read_text().count("settlement.repeated") >= len(CATEGORIES)

        await eventually(tries_in_vain)
        await asyncio.to_thread(private_postgres.start)
        await eventually(scene.gateway.all_ended, told=scene.gateway.told)
        await worker.stop()

        assert not scene.gateway.parked
        for end in await scene.ends():
            assert (end.row.state, end.row.attempt, end.copies) == (DeliveryState.SENT, 1, 1)
            assert not end.row.possible_duplicate
