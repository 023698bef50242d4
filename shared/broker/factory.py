"""Which transport carries the messages is decided by the URL alone."""

from urllib.parse import urlsplit

from shared.broker.interface import Broker
from shared.broker.postgres.broker import PostgresBroker
from shared.broker.rabbitmq.broker import RabbitBroker


def connect_broker(url: str, *, client_name: str) -> Broker:
    """The broker behind `url`; nothing is connected before `start`.

    `amqp://` and `amqps://` are RabbitMQ, `postgresql://` is PostgreSQL. `client_name` is how the process
    shows in the broker's own list of connections. Raises ValueError for any other scheme.
    """
    scheme = urlsplit(url).scheme
    if scheme in {"amqp", "amqps"}:
        return RabbitBroker(url, client_name=client_name)
    if scheme in {"postgresql", "postgres"}:
        return PostgresBroker(url, client_name=client_name)
    raise ValueError(
        f"A broker URL begins with amqp://, amqps:// or postgresql://, not {scheme or 'that'}://."
    )
