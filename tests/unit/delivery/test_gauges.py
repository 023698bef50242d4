"""What a channel tells of itself before anything has happened, and while its ledger is away."""

import pytest

from shared.contracts.channels import Channel
from shared.database.engine import Database
from shared.database.errors import DatabaseUnavailable
from shared.delivery import metrics
from shared.delivery.gauges import Gauges
from shared.delivery.ledger import Ledger
from shared.process.metrics import REGISTRY


async def test_a_ledger_that_does_not_answer_is_not_told_of() -> None:
    database = Database("postgresql://postgres@127.0.0.1:1/email_db")
    await database.start()
    metrics.LEDGER_OPEN.labels("email", "sending").set(4)
    with pytest.raises(DatabaseUnavailable):
        await Gauges(channel=Channel.EMAIL, ledger=Ledger(database)).run()
    labels = {"channel": "email", "state": "sending"}
    assert REGISTRY.get_sample_value("carillon_ledger_open", labels) is None
    await database.close()


def test_what_alerts_watch_begins_at_0() -> None:
    metrics.begin(Channel.PUSH, providers=["of no other test"])
    ended = {"channel": "push", "state": "unknown"}
    attempts = {"channel": "push", "provider": "of no other test", "outcome": "retryable"}
    assert REGISTRY.get_sample_value("carillon_deliveries_ended_total", ended) is not None
    assert REGISTRY.get_sample_value("carillon_delivery_attempts_total", attempts) == 0
