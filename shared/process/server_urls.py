"""The addresses of servers, as settings give them: wrong ones are refused before anything starts.

Each function returns the URL as it came, or raises ValueError. The message never repeats the URL, which
may hold a password.
"""

from urllib.parse import urlsplit

_POSTGRESQL = ("postgresql", "postgres")
_RABBITMQ = ("amqp", "amqps")
_REDIS = ("redis", "rediss")


def database_url(url: str) -> str:
    """PostgreSQL's. No host is one, too: the usual socket."""
    return _checked(url, _POSTGRESQL, "postgresql://user:password@host:port/name")


def broker_url(url: str) -> str:
    """RabbitMQ's or PostgreSQL's: the scheme decides which."""
    return _checked(
        url, _RABBITMQ + _POSTGRESQL, "amqp://user:password@host:port/ or postgresql://…/broker_db"
    )


def redis_url(url: str) -> str:
    """Redis's."""
    return _checked(url, _REDIS, "redis://:password@host:port/number")


def _checked(url: str, schemes: tuple[str, ...], example: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"this is not a URL such as {example}") from None
    names_server = parts.hostname is not None or parts.scheme in _POSTGRESQL
    if (
        parts.scheme not in schemes
        or not url.startswith(f"{parts.scheme}://")
        or port == 0
        or not names_server
    ):
        raise ValueError(f"this is not a URL such as {example}")
    return url
