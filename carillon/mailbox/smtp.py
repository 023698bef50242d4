"""The SMTP side of the mailbox (RFC 5321), with the extensions that senders look for."""

# ruff: noqa: ARG002, PLR0917 -- aiosmtpd calls the handlers with a fixed list of arguments

import asyncio

from aiosmtpd.smtp import SMTP, Envelope, Session

from carillon.mailbox.store import MailStore

_EXTENSIONS = ("PIPELINING", "ENHANCEDSTATUSCODES")


class MailTaker:
    """aiosmtpd's handler: takes every recipient and every mail."""

    def __init__(self, store: MailStore) -> None:
        self._store = store

    async def handle_EHLO(  # noqa: N802 -- the name that aiosmtpd looks for
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Announce what works besides what the library announces itself (SIZE, 8BITMIME, SMTPUTF8)."""
        session.host_name = hostname
        return [*responses[:-1], *(f"250-{extension}" for extension in _EXTENSIONS), responses[-1]]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail; it is safe for as long as this process lives."""
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        mail = self._store.add(
            sender=envelope.mail_from or "",
            recipients=[str(recipient) for recipient in envelope.rcpt_tos],
            raw=raw,
        )
        return f"250 2.0.0 Ok: queued as {mail.id}"


async def listen(store: MailStore, *, host: str, port: int, size_limit: int) -> asyncio.Server:
    """Take mail on `port` from now on. Raises OSError where it is taken."""
    loop = asyncio.get_running_loop()
    handler = MailTaker(store)

    def connection() -> SMTP:
        return SMTP(
            handler,
            data_size_limit=size_limit,
            enable_SMTPUTF8=True,
            hostname="mailbox.carillon.localhost",
            ident="Carillon mailbox",
            timeout=300,
            loop=loop,
        )

    return await loop.create_server(connection, host, port)
