"""The SMTP provider: one call, one mail, one outcome."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from email_service.mime.address import Mailbox, parse_mailbox
from email_service.mime.message import Mail, compose
from email_service.providers.smtp.exchange import Envelope, Progress, Reply, SessionLost, SmtpFailure, Stage
from email_service.providers.smtp.pool import SmtpPool
from email_service.providers.smtp.session import SmtpServer, SmtpSession
from email_service.providers.smtp.throttling import throttled_for_s
from email_service.providers.smtp.verdict import deadline_passed, judge_failure, judge_reply, judge_timeout
from shared.contracts.channels import EmailContent
from shared.contracts.delivery import Problem
from shared.delivery.outcomes import Outcome, Rejected
from shared.delivery.provider import ProviderCall
from shared.delivery.recourse import NO_RECOURSE, Recourse
from shared.process.clock import Clock

_CHECK_KEPT_S = 5.0
_CHECK_TIMEOUT_S = 1.5


class SmtpProvider:
    """Hands mails to one mail server. See `shared.delivery.provider.Provider`.

    A kept connection that turns out to be dead before the server took up the mail is replaced at once and
    spends no attempt.

    `same_message_id_s`: for how long the server takes a second mail with the same Message-ID without effect,
    0 where it does not.
    """

    name = "smtp"

    def __init__(
        self,
        server: SmtpServer,
        *,
        sender: Mailbox,
        clock: Clock,
        timeout_s: float = 30.0,
        same_message_id_s: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._sender = sender
        self._clock = clock
        self._timeout_s = timeout_s
        # A call that begins in time is to arrive in time.
        known_s = same_message_id_s - timeout_s
        self._recourse = Recourse(same_key=timedelta(seconds=known_s)) if known_s > 0 else NO_RECOURSE
        self._monotonic = monotonic
        self._pool = SmtpPool(
            partial(SmtpSession.open, server), limit=server.connections, monotonic=monotonic
        )
        self._check_lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._check_failure: str | None = None

    @property
    def timeout_s(self) -> float:
        """The longest time `send` may take, in seconds."""
        return self._timeout_s

    @property
    def recourse(self) -> Recourse:
        """The same mail again, where the server knows Message-IDs."""
        return self._recourse

    async def send(self, call: ProviderCall[EmailContent]) -> Outcome:
        """Send one mail within `timeout_s` and the call's deadline."""
        try:
            recipient = parse_mailbox(call.target.address, call.target.name)
        except ValueError as error:
            return Rejected(problem=Problem(kind="address.invalid", message=str(error)))
        try:
            message = compose(self._mail(call, recipient))
        except ValueError as error:
            return Rejected(problem=Problem(kind="message.invalid", message=str(error)))
        left_s = call.deadline - self._monotonic()
        if left_s <= 0:
            return deadline_passed()
        progress = Progress()
        try:
            async with asyncio.timeout(min(self._timeout_s, left_s)):
                return await self._deliver(call, recipient, message, progress)
        except TimeoutError:
            return judge_timeout(progress)
        except SmtpFailure as failure:
            return judge_failure(failure, progress)

    async def check(self) -> None:
        """Raises ConnectionError where the server cannot be reached, or refuses TLS or the login.

        What was found, by a mail or by an earlier check, stands for 5 s.
        """
        async with self._check_lock:
            if self._monotonic() - self._checked_at >= _CHECK_KEPT_S:
                self._remember(await self._probe())
        if self._check_failure is not None:
            raise ConnectionError(self._check_failure)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._pool.close()

    def _mail(self, call: ProviderCall[EmailContent], recipient: Mailbox) -> Mail:
        return Mail(
            sender=self._sender,
            recipient=recipient,
            subject=call.content.subject,
            text=call.content.text,
            html=call.content.html,
            message_id=call.message_id,
            notification_id=str(call.notification_id),
            # When it is sent, not when it was asked for: a scheduled mail must not arrive looking old.
            date=self._clock.now(),
        )

    async def _deliver(
        self, call: ProviderCall[EmailContent], recipient: Mailbox, message: bytes, progress: Progress
    ) -> Outcome:
        envelope = Envelope(sender=self._sender.address, recipient=recipient.address)
        while True:
            async with self._pool.session(progress) as (session, kept):
                if envelope.needs_smtputf8 and not session.supports("smtputf8"):
                    return Rejected(
                        problem=Problem(
                            kind="address.unsupported",
                            message="The mail server takes no address with non-ASCII letters before the @.",
                        )
                    )
                try:
                    reply = await session.transmit(
                        envelope,
                        message,
                        progress=progress,
                        may_send_body=lambda: self._monotonic() < call.deadline,
                    )
                except SessionLost:
                    if kept and progress.stage is Stage.MAIL:
                        continue
                    raise
            if kept and _closing(reply):
                continue
            self._remember(None)
            return judge_reply(reply, private=(recipient.address, recipient.local, self._sender.address))

    async def _probe(self) -> str | None:
        """Open and close a connection; the failure as a sentence, or None."""
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                session = await SmtpSession.open(self._server, Progress())
        except TimeoutError:
            return "The mail server does not answer in time."
        except SmtpFailure as failure:
            return f"The mail server is not usable: {failure}."
        session.close()
        return None

    def _remember(self, failure: str | None) -> None:
        self._checked_at = self._monotonic()
        self._check_failure = failure


def _closing(reply: Reply) -> bool:
    """Whether a server only now says that it had given up on a connection (421 before any mail).

    One that says to slow down means all connections."""
    return reply.stage is Stage.MAIL and reply.code == 421 and throttled_for_s(reply) is None
