"""Publishing: persistent, mandatory, and done only when RabbitMQ has confirmed."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from aio_pika.exceptions import AMQPError, DeliveryError, PublishError
from aiormq import Channel, spec

from shared.broker.interface import BrokerError, BrokerUnavailable, Message, NotRouted, Receipt
from shared.broker.link import Link
from shared.broker.rabbitmq.connection import PublishSide
from shared.broker.topology import BROADCAST_EXCHANGE, EXCHANGE, WORK_QUEUES

LONGEST_BODY = 8 * 1024 * 1024
"""Bytes. RabbitMQ 4 closes the channel, and with it hurts every other publish, above 16 MiB."""
_CHUNK = 500
_MOST_UNCONFIRMED = 2000
_LARGE_BODY = 16 * 1024
"""Bytes. Larger ones wait for the socket, so that what is on its way takes 32 MiB at most."""
_PERSISTENT = 2
"""AMQP 0-9-1, basic class, delivery-mode."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A message, and the exchange it goes through."""

    exchange: str
    routing_key: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    mandatory: bool = True


class RabbitPublisher:
    """Publishes on one long-lived channel; many publishes wait for their confirms at the same time."""

    def __init__(self, link: Link[PublishSide], *, timeout_s: float) -> None:
        self._link = link
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(_MOST_UNCONFIRMED)

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        """See `Broker.publish`."""
        return await self.send(
            Envelope(exchange=EXCHANGE, routing_key=message.route, body=message.body, headers=message.headers)
            for message in messages
        )

    async def broadcast(self, text: str) -> None:
        """See `Broker.broadcast`. Raises BrokerUnavailable."""
        envelope = Envelope(exchange=BROADCAST_EXCHANGE, routing_key="", body=text.encode(), mandatory=False)
        for receipt in await self.send([envelope]):
            if receipt.error is not None:
                raise receipt.error

    async def send(self, envelopes: Iterable[Envelope]) -> list[Receipt]:
        """Publish in order and wait for every confirm; raises nothing."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        receipts: list[Receipt] = []
        waiting = iter(envelopes)
        while chunk := list(islice(waiting, _CHUNK)):
            outcomes = await asyncio.gather(
                *(self._send(envelope, deadline=deadline) for envelope in chunk), return_exceptions=True
            )
            receipts += [Receipt(error=_problem(outcome)) for outcome in outcomes]
        return receipts

    async def _send(self, envelope: Envelope, *, deadline: float) -> None:
        if len(envelope.body) > LONGEST_BODY:
            raise BrokerError(f"A message has at most {LONGEST_BODY} bytes, not {len(envelope.body)}.")
        side = self._link.require()
        try:
            async with asyncio.timeout_at(deadline):
                async with self._slots:
                    # aiormq's channel and not aio-pika's exchange, which always waits until the socket has
                    # taken the message: one write and one turn of the loop for each, and all one by one.
                    # The confirm is waited for either way.
                    channel = cast(Channel, await side.publishing.get_underlay_channel())
                    # Without a message_id of ours aiormq gives each publish a fresh one, by which it
                    # matches what the broker returns: a repeated id would fail the wrong publish.
                    await channel.basic_publish(
                        envelope.body,
                        exchange=envelope.exchange,
                        routing_key=envelope.routing_key,
                        properties=spec.Basic.Properties(
                            headers=dict(envelope.headers),
                            delivery_mode=_PERSISTENT,
                            content_type="application/json",
                        ),
                        mandatory=envelope.mandatory,
                        wait=len(envelope.body) > _LARGE_BODY,
                    )
        except TimeoutError:
            # The broker holds back or is frozen. A fresh connection is the only way to find out.
            self._link.drop(side)
            raise
        except PublishError:
            if envelope.routing_key in WORK_QUEUES:
                # Somebody deleted a queue or an exchange: connecting declares the topology anew.
                self._link.drop(side)
            raise


def _problem(outcome: BaseException | None) -> BrokerError | None:
    match outcome:
        case None:
            return None
        case BrokerError():
            return outcome
        case PublishError():
            return NotRouted("No queue took the message.")
        case DeliveryError():
            return BrokerUnavailable("RabbitMQ refused the message.")
        case TimeoutError():
            return BrokerUnavailable("RabbitMQ did not confirm in time.")
        # A connection that is lost cancels what waits for it.
        case AMQPError() | OSError() | RuntimeError() | asyncio.CancelledError():
            return BrokerUnavailable(f"The connection to RabbitMQ was lost: {type(outcome).__name__}.")
        case _:
            return BrokerError(f"The message cannot be published: {type(outcome).__name__}: {outcome}")
