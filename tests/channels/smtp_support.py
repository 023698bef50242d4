"""The provider under test, made for the mail server at a port."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from email_service.mime.address import parse_sender
from email_service.providers.smtp import SmtpProvider, SmtpServer
from shared.delivery.outcomes import Accepted, Outcome
from shared.process.clock import SystemClock

SENDER = parse_sender("Carillon <no-reply@carillon.localhost>")


@asynccontextmanager
async def provider_for(
    port: int,
    *,
    timeout_s: float = 5.0,
    connections: int = 4,
    same_message_id_s: float = 0.0,
    monotonic: Callable[[], float] | None = None,
    **server: object,
) -> AsyncIterator[SmtpProvider]:
    settings: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "tls": "none",
        "ehlo_name": "carillon.localhost",
        "connections": connections,
    } | server
    provider = SmtpProvider(
        SmtpServer(**settings),  # type: ignore[arg-type]  # a builder takes any field
        sender=SENDER,
        clock=SystemClock(),
        timeout_s=timeout_s,
        same_message_id_s=same_message_id_s,
        **({"monotonic": monotonic} if monotonic else {}),
    )
    try:
        yield provider
    finally:
        await provider.close()


def summary(outcome: Outcome) -> tuple[type[Outcome], str]:
    """The outcome's type, and the kind of its problem."""
    return type(outcome), "" if isinstance(outcome, Accepted) else outcome.problem.kind
