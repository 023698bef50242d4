"""The sentinel: the first entry of a stream that nothing else declares.

A stream, because reading one takes nothing out: a reader that dies loses nothing, several may read at once,
and no delivery limit wears it out. Of two writers the first entry counts, for everybody and for good. Where
the stream does not exist the broker was wiped. https://www.rabbitmq.com/docs/streams#consuming
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelLockedResource
from pamqp.common import FieldTable

from shared.broker.interface import BrokerUnavailable
from shared.broker.rabbitmq.connection import (
    STEP_TIMEOUT_S,
    answer,
    close_connection,
    open_channel,
    open_connection,
)
from shared.broker.topology import SENTINEL_QUEUE, SENTINEL_WRITER_QUEUE

_STREAM: FieldTable = {"x-queue-type": "stream"}
_READ_TIMEOUT_S = 2.0
_WRITER_TRIES = 50
_WRITER_PAUSE_S = 0.1


class Sentinel:
    """Reads and writes the epoch, each time over a connection of its own: it is rare, and RabbitMQ answers
    trouble with a stream by closing the whole connection."""

    def __init__(self, url: str, *, client_name: str) -> None:
        self._url = url
        self._client_name = client_name

    async def read(self) -> str | None:
        """See `Broker.epoch`."""
        async with self._connection() as connection:
            return await _read(connection)

    async def write(self, epoch: str) -> None:
        """See `Broker.write_epoch`."""
        async with self._connection() as connection:
            await _become_the_writer(connection)
            if await _read(connection) is not None:
                return
            channel = await open_channel(connection, confirms=True)
            await answer(
                channel.declare_queue(SENTINEL_QUEUE, durable=True, arguments=_STREAM),
                timeout_s=STEP_TIMEOUT_S,
            )
            message = aio_pika.Message(epoch.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await answer(
                channel.default_exchange.publish(message, routing_key=SENTINEL_QUEUE),
                timeout_s=STEP_TIMEOUT_S,
            )

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AbstractConnection]:
        connection = await open_connection(self._url, name=f"{self._client_name} epoch", lost=lambda: None)
        try:
            yield connection
        finally:
            await close_connection(connection)


async def _become_the_writer(connection: AbstractConnection) -> None:
    # An exclusive queue is a lock that goes with its connection. Without it two writers declare the stream
    # at once, and RabbitMQ 3.10 may leave it without a leader for both.
    for _ in range(_WRITER_TRIES):
        channel = await open_channel(connection)
        try:
            await answer(
                channel.declare_queue(SENTINEL_WRITER_QUEUE, exclusive=True), timeout_s=STEP_TIMEOUT_S
            )
        except BrokerUnavailable as error:
            if not isinstance(error.__cause__, ChannelLockedResource):
                raise
            await asyncio.sleep(_WRITER_PAUSE_S)
        else:
            return
    raise BrokerUnavailable("Another process has been writing the epoch for too long.")


async def _read(connection: AbstractConnection) -> str | None:
    channel = await open_channel(connection)
    try:
        await answer(channel.declare_queue(SENTINEL_QUEUE, passive=True), timeout_s=STEP_TIMEOUT_S)
    except BrokerUnavailable as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            return None
        raise
    return await _first_entry(channel)


async def _first_entry(channel: AbstractChannel) -> str | None:
    first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def take(message: AbstractIncomingMessage) -> None:
        if not first.done():
            first.set_result(message.body)

    await answer(channel.set_qos(prefetch_count=1), timeout_s=STEP_TIMEOUT_S)
    queue = await channel.get_queue(SENTINEL_QUEUE, ensure=False)
    await answer(queue.consume(take, arguments={"x-stream-offset": "first"}), timeout_s=STEP_TIMEOUT_S)
    with suppress(TimeoutError):
        return (await asyncio.wait_for(first, _READ_TIMEOUT_S)).decode()
    # The stream stands and RabbitMQ consumes from it, and there is nothing: a writer died between declaring
    # and publishing. Only an answer tells that apart from a broker that no longer answers.
    await answer(channel.set_qos(prefetch_count=1), timeout_s=STEP_TIMEOUT_S)
    return None
