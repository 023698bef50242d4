"""Connections to RabbitMQ, every wait on them bounded and every failure of theirs a BrokerUnavailable.

Plain connections, not aio-pika's robust ones: those bring consumers and channels back by themselves, so
that nobody could say which deliveries were lost on the way, nor whether a consumer stands right now.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError

from shared.broker.interface import BrokerUnavailable
from shared.broker.rabbitmq.declaration import declare_topology

CONNECT_TIMEOUT_S = 5.0
STEP_TIMEOUT_S = 10.0
"""For one step of setting up; a node that has just started is slow to elect the queues' leaders."""
CLOSE_TIMEOUT_S = 1.0
# A peer that is gone without a word is noticed after about three of these, see aiormq's grace multiplier.
_HEARTBEAT_S = 10

T = TypeVar("T")


async def answer(operation: Awaitable[T], *, timeout_s: float) -> T:
    """The result of an operation on the connection. Raises BrokerUnavailable where it fails or lasts longer.

    A task of its own, because aiormq answers a lost connection with CancelledError, which must not be
    taken for a cancellation of ours.
    """
    task = asyncio.ensure_future(operation)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise BrokerUnavailable(f"RabbitMQ did not answer within {timeout_s:g} s.")
    if task.cancelled():
        raise BrokerUnavailable("The connection to RabbitMQ was lost.")
    error = task.exception()
    if error is None:
        return task.result()
    # aiormq raises RuntimeError where a connection was closed in the meantime.
    if isinstance(error, AMQPError | OSError | RuntimeError | TimeoutError):
        raise BrokerUnavailable(f"RabbitMQ: {type(error).__name__}: {error}") from error
    raise error


def _abandon(task: asyncio.Future[T]) -> None:
    task.cancel()
    # What it still raises is nobody's business any more.
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


class PlainConnection(aio_pika.Connection):
    """One that never came to be is closed by nobody, and aio-pika's own would have the garbage collector
    start a task for it, on a loop that may have stopped."""

    def __del__(self) -> None:
        if self.transport is not None:
            super().__del__()


async def open_connection(url: str, *, name: str, lost: Callable[[], None]) -> AbstractConnection:
    """Connect; `lost` is called when the connection ends. Raises BrokerUnavailable."""
    connection: AbstractConnection = await answer(
        aio_pika.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            heartbeat=_HEARTBEAT_S,
            connection_class=PlainConnection,
            client_properties={"connection_name": name},
        ),
        timeout_s=CONNECT_TIMEOUT_S + 1,
    )
    connection.close_callbacks.add(lambda *_: lost())
    return connection


async def close_connection(connection: AbstractConnection) -> None:
    """Close, within a second, whatever state it is in."""
    with suppress(BrokerUnavailable):
        await answer(connection.close(), timeout_s=CLOSE_TIMEOUT_S)


@dataclass(frozen=True, kw_only=True)
class PublishSide:
    """The connection that publishes, apart from the one that consumes: RabbitMQ holds back publishing
    connections when it runs short of memory or disk."""

    connection: AbstractConnection
    publishing: AbstractChannel


async def open_publish_side(url: str, *, name: str, lost: Callable[[], None]) -> PublishSide:
    """Connect, declare the topology, open the channel that publishes. Raises BrokerUnavailable."""
    connection = await open_connection(url, name=name, lost=lost)
    try:
        setup = await open_channel(connection)
        await answer(declare_topology(setup, timeout_s=STEP_TIMEOUT_S), timeout_s=6 * STEP_TIMEOUT_S)
        await answer(setup.close(), timeout_s=STEP_TIMEOUT_S)
        publishing = await open_channel(connection, confirms=True)
        publishing.close_callbacks.add(lambda *_: lost())
    except BaseException:
        await close_connection(connection)
        raise
    return PublishSide(connection=connection, publishing=publishing)


async def open_channel(connection: AbstractConnection, *, confirms: bool = False) -> AbstractChannel:
    """A new channel. With `confirms` a publish waits for the broker's word and raises where the message is
    returned as unroutable. Raises BrokerUnavailable."""
    channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    await answer(channel.initialize(), timeout_s=STEP_TIMEOUT_S)
    return channel
