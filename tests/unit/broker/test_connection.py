"""Connections to RabbitMQ."""

import asyncio
import gc
import warnings

import aio_pika
import pytest
from yarl import URL

from shared.broker.rabbitmq.connection import PlainConnection


def warned_when_collected(kind: type[aio_pika.Connection]) -> bool:
    """Whether a connection that never came to be makes noise once its loop has stopped."""

    async def give_up() -> aio_pika.Connection:
        return kind(URL("amqp://a:b@127.0.0.1:9/"))

    with warnings.catch_warnings(record=True) as caught, asyncio.Runner() as runner:
        warnings.simplefilter("always")
        connection = runner.run(give_up())
        asyncio.set_event_loop(None)
        del connection
        gc.collect()
    return any("never awaited" in str(each.message) for each in caught)


@pytest.mark.parametrize(("kind", "noisy"), [(aio_pika.Connection, True), (PlainConnection, False)])
def test_a_connection_that_never_came_to_be_is_collected_in_silence(
    kind: type[aio_pika.Connection], noisy: bool
) -> None:
    assert warned_when_collected(kind) is noisy
