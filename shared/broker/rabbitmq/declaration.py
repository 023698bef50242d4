"""The topology as RabbitMQ has to be told it.

Declaring is idempotent only with the same arguments: a changed delay or a new argument means a new queue
name, since RabbitMQ refuses the channel otherwise (406).
https://www.rabbitmq.com/docs/quorum-queues#dead-lettering
"""

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractQueue
from pamqp.common import FieldTable

from shared.broker.topology import (
    BROADCAST_EXCHANGE,
    EXCHANGE,
    FAILED_QUEUE,
    RETRY_DELAYS_S,
    WORK_QUEUES,
    retry_queue,
)

# At-least-once dead-lettering is what keeps a message safe between two queues; it demands reject-publish.
_DEAD_LETTERING: FieldTable = {
    "x-dead-letter-exchange": EXCHANGE,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def work_queue_arguments(queue: str) -> FieldTable:
    """What 4.x gives up on after its delivery limit goes to failed.queue, which itself gives up nothing."""
    if queue == FAILED_QUEUE:
        return {"x-queue-type": "quorum"}
    return {"x-queue-type": "quorum", **_DEAD_LETTERING, "x-dead-letter-routing-key": FAILED_QUEUE}


def delay_queue_arguments(step: int) -> FieldTable:
    """One fixed delay for the whole queue, so that its head never blocks the rest; dead-lettering without a
    routing key of its own, so that the original key brings a message back to its lane."""
    return {"x-queue-type": "quorum", **_DEAD_LETTERING, "x-message-ttl": RETRY_DELAYS_S[step] * 1000}


async def declare_work_queue(channel: AbstractChannel, queue: str, *, timeout_s: float) -> AbstractQueue:
    """Declare one queue that is consumed, and bind it by its name."""
    declared = await channel.declare_queue(
        queue, durable=True, arguments=work_queue_arguments(queue), timeout=timeout_s
    )
    await declared.bind(EXCHANGE, routing_key=queue, timeout=timeout_s)
    return declared


async def declare_exchange(channel: AbstractChannel, *, timeout_s: float) -> None:
    """Declare the exchange that carries the work."""
    await channel.declare_exchange(EXCHANGE, ExchangeType.DIRECT, durable=True, timeout=timeout_s)


async def declare_topology(channel: AbstractChannel, *, timeout_s: float) -> None:
    """Declare everything but the sentinel, whose absence says something. `timeout_s` is for each step."""
    await declare_exchange(channel, timeout_s=timeout_s)
    await channel.declare_exchange(BROADCAST_EXCHANGE, ExchangeType.FANOUT, durable=True, timeout=timeout_s)
    for queue in WORK_QUEUES:
        await declare_work_queue(channel, queue, timeout_s=timeout_s)
    for step in RETRY_DELAYS_S:
        name = retry_queue(step)
        await channel.declare_exchange(name, ExchangeType.FANOUT, durable=True, timeout=timeout_s)
        delay_queue = await channel.declare_queue(
            name, durable=True, arguments=delay_queue_arguments(step), timeout=timeout_s
        )
        await delay_queue.bind(name, timeout=timeout_s)
