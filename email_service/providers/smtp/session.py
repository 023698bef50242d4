"""One connection to a mail server: opened, secured, logged in, and used for one mail after another."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, cast

import aiosmtplib
from pydantic import SecretStr

from email_service.providers.smtp.exchange import (
    DeadlinePassed,
    Envelope,
    Misconfigured,
    Progress,
    Reply,
    SessionLost,
    SessionRefused,
    SmtpFailure,
    Stage,
    Unreachable,
)

_HYGIENE_TIMEOUT_S = 2.0


@dataclass(frozen=True, kw_only=True)
class SmtpServer:
    """Which mail server, and how to greet it. `connections`: the most that are open at once."""

    host: str
    port: int
    tls: Literal["none", "starttls", "tls"]
    ehlo_name: str
    username: str | None = None
    password: SecretStr | None = field(default=None, repr=False)
    connections: int = 8
    connect_timeout_s: float = 10.0
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)


class SmtpSession:
    """An open connection. Not for two mails at the same time."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        self._intact = True
        self._needs_reset = False
        self.mails = 0
        """How many were tried over it."""
        self.used_at = 0.0
        """When it was last given back, on the pool's monotonic clock."""

    @classmethod
    async def open(cls, server: SmtpServer, progress: Progress) -> "SmtpSession":
        """Connect, greet, and as configured secure and log in. Raises SessionRefused, Unreachable or
        Misconfigured; leaves nothing open then."""
        progress.stage = Stage.CONNECT
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "tls",
            start_tls=False,
            local_hostname=server.ehlo_name,
            timeout=server.connect_timeout_s,
            tls_context=server.tls_context,
        )
        try:
            async with asyncio.timeout(server.connect_timeout_s):
                await client.connect()
                await _greet(client)
                if server.tls == "starttls":
                    progress.stage = Stage.STARTTLS
                    await client.starttls()
                    await _greet(client)
                if server.username is not None:
                    progress.stage = Stage.AUTH
                    password = server.password.get_secret_value() if server.password else ""
                    await client.login(server.username, password)
        except BaseException as error:
            client.close()
            failure = _opening_failure(error, progress.stage)
            if failure is None:
                raise
            raise failure from error
        return cls(client)

    @property
    def reusable(self) -> bool:
        """Whether another mail may go over it."""
        return self._intact and self._client.is_connected

    def supports(self, extension: str) -> bool:
        """Whether the server announced an SMTP extension, such as `smtputf8`."""
        return self._client.supports_extension(extension)

    async def refresh(self, *, probe: bool) -> bool:
        """Make a kept connection ready for the next mail: RSET after a refused one, NOOP when `probe`.
        False where it is dead."""
        if not self.reusable:
            return False
        if not (probe or self._needs_reset):
            return True
        self._intact = False
        try:
            async with asyncio.timeout(_HYGIENE_TIMEOUT_S):
                await (self._client.rset() if self._needs_reset else self._client.noop())
        except (aiosmtplib.SMTPException, OSError):
            return False
        self._needs_reset = False
        self._intact = True
        return True

    async def transmit(
        self, envelope: Envelope, message: bytes, *, progress: Progress, may_send_body: Callable[[], bool]
    ) -> Reply:
        """Send one mail and give back the server's last answer: the first that refuses, else the one to the
        final dot. `message` has CRLF line ends. Raises SessionLost and DeadlinePassed; after these, and after
        a cancellation, the connection is not reusable."""
        self.mails += 1
        self._intact = False
        options = [b"SIZE=%d" % len(message)] if self.supports("size") else []
        if envelope.needs_smtputf8:
            options += [b"SMTPUTF8", b"BODY=8BITMIME"]
        progress.stage = Stage.MAIL
        try:
            reply = await self._command(
                Stage.MAIL, b"MAIL", b"FROM:<%s>" % envelope.sender.encode(), *options
            )
            if not reply.positive:
                return self._settled(reply)
            progress.stage = Stage.RCPT
            reply = await self._command(Stage.RCPT, b"RCPT", b"TO:<%s>" % envelope.recipient.encode())
            if not reply.positive:
                return self._settled(reply, reset=True)
            progress.stage = Stage.DATA
            reply = await self._command(Stage.DATA, b"DATA")
            if reply.code != 354:
                return self._settled(reply, reset=True)
            if not may_send_body():
                raise DeadlinePassed
            progress.stage = Stage.BODY
            return self._settled(await self._body(message, progress))
        except (aiosmtplib.SMTPException, OSError) as error:
            raise SessionLost(type(error).__name__) from error

    async def _command(self, stage: Stage, *words: bytes) -> Reply:
        response = await self._client.execute_command(*words, timeout=None)
        return Reply(stage=stage, code=response.code, text=response.message)

    async def _body(self, message: bytes, progress: Progress) -> Reply:
        # A cast, since uvloop's transports are not registered with asyncio's classes.
        protocol, transport = self._client.protocol, cast(asyncio.WriteTransport, self._client.transport)
        if protocol is None or not protocol.is_connected:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        # From here on a lost connection leaves us in doubt, until an answer comes.
        progress.body_sent = True
        protocol.write(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        try:
            response = await protocol.read_response()
        except asyncio.CancelledError:
            # Bytes still in our own buffer include the final dot: then the server cannot have taken the mail.
            progress.body_sent = transport.get_write_buffer_size() == 0
            transport.abort()
            raise
        return Reply(stage=Stage.BODY, code=response.code, text=response.message)

    def _settled(self, reply: Reply, *, reset: bool = False) -> Reply:
        # 421 announces that the server closes the connection (RFC 5321 3.8).
        self._intact = reply.code != 421
        self._needs_reset = reset
        return reply

    def close(self) -> None:
        """Say QUIT, where that is possible at once, and close."""
        protocol = self._client.protocol
        if self._intact and protocol is not None and protocol.is_connected:
            protocol.write(b"QUIT\r\n")
        self._client.close()


async def _greet(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        await client.helo()


def _opening_failure(error: BaseException, stage: Stage) -> SmtpFailure | None:
    """What a failure to open means; None for what is not ours to translate, such as a cancellation."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return Misconfigured("the TLS handshake failed (certificate, name or protocol)")
        cause = cause.__cause__
    match error:
        case aiosmtplib.SMTPResponseException():
            return SessionRefused(Reply(stage=stage, code=error.code, text=error.message))
        case aiosmtplib.SMTPConnectError() | aiosmtplib.SMTPServerDisconnected() | TimeoutError() | OSError():
            return Unreachable(f"no connection ({stage})")
        case UnicodeError():
            return Misconfigured("its host name is not valid")
        case aiosmtplib.SMTPException() if stage is Stage.STARTTLS:
            return Misconfigured("the server offers no STARTTLS")
        case aiosmtplib.SMTPException():
            return Misconfigured("the server offers no way to log in that is supported")
    return None
