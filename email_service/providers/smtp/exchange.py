"""The words of an exchange with a mail server: stages, answers, and the failures that are none."""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far a mail came; the value names it in messages."""

    WAITING = "waiting for a connection"
    CONNECT = "connecting"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    BODY = "the message"


@dataclass(kw_only=True)
class Progress:
    """Where a mail stands; read when a time-out cuts it off. `body_sent`: its last byte may have left us."""

    stage: Stage = Stage.WAITING
    body_sent: bool = False


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A mail server's answer at a stage."""

    stage: Stage
    code: int
    text: str

    @property
    def positive(self) -> bool:
        """Whether the server did as it was asked (2yz)."""
        return 200 <= self.code < 300


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """The addresses of MAIL FROM and RCPT TO, without angle brackets, already checked."""

    sender: str
    recipient: str

    @property
    def needs_smtputf8(self) -> bool:
        """RFC 6531: whether an address is not ASCII."""
        return not (self.sender.isascii() and self.recipient.isascii())


class SmtpFailure(Exception):
    """No answer to classify: SessionRefused, Unreachable, Misconfigured, SessionLost, DeadlinePassed."""


class SessionRefused(SmtpFailure):
    """The server refused the connection, TLS or the login, with an answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.code} at {reply.stage}")
        self.reply = reply


class Unreachable(SmtpFailure):
    """Nobody there, or silent."""


class Misconfigured(SmtpFailure):
    """The server cannot do what it is configured for: no STARTTLS, no AUTH, no certificate to trust."""


class SessionLost(SmtpFailure):
    """The connection broke, or what came over it was not SMTP, while a mail was under way."""


class DeadlinePassed(SmtpFailure):
    """The mail's time was up right before its body would have been sent."""
