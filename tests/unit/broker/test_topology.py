"""Names and arguments: a changed argument on an existing name would stop every process at its start."""

import pytest

from shared.broker.factory import connect_broker
from shared.broker.postgres.broker import PostgresBroker
from shared.broker.rabbitmq.broker import RabbitBroker
from shared.broker.rabbitmq.declaration import delay_queue_arguments, work_queue_arguments
from shared.broker.topology import LANE_QUEUES, RETRY_DELAYS_S, WORK_QUEUES, lane_queue, retry_queue
from shared.contracts.channels import Channel, Lane


def test_every_lane_of_every_channel_is_a_queue_of_its_own() -> None:
    assert len(set(LANE_QUEUES)) == len(Channel) * len(Lane)
    assert lane_queue(Channel.EMAIL, Lane.URGENT) == "email.urgent.queue"
    assert lane_queue(Channel.EMAIL, Lane.NORMAL) == "email.queue"
    assert lane_queue(Channel.PUSH, Lane.BULK) == "push.bulk.queue"
    assert {"reports.queue", "failed.queue"} <= set(WORK_QUEUES)


def test_the_delay_queues_are_named_after_their_delay() -> None:
    assert [retry_queue(step) for step in RETRY_DELAYS_S] == ["retry.1s", "retry.2s", "retry.4s"]


def test_the_arguments_that_queues_in_the_field_were_declared_with() -> None:
    # Change one of these and RabbitMQ refuses the queue that is already there: it needs a new name.
    safe = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "notifications.direct",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    assert work_queue_arguments("email.queue") == {**safe, "x-dead-letter-routing-key": "failed.queue"}
    assert work_queue_arguments("failed.queue") == {"x-queue-type": "quorum"}
    assert delay_queue_arguments(3) == {**safe, "x-message-ttl": 4000}


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("amqp://guest:guest@localhost/", RabbitBroker),
        ("amqps://localhost", RabbitBroker),
        ("postgresql://localhost/broker_db", PostgresBroker),
        ("postgres://localhost/broker_db", PostgresBroker),
    ],
)
def test_the_url_decides_on_the_transport(url: str, kind: type) -> None:
    assert isinstance(connect_broker(url, client_name="test"), kind)


@pytest.mark.parametrize("url", ["kafka://localhost", "localhost:5672", ""])
def test_a_url_of_no_transport_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="amqp://"):
        connect_broker(url, client_name="test")
