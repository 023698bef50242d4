"""What a mail server's answer, or its silence, means for a mail. Pure.

The line between "never" and "later" is drawn at whom the refusal is about. About this recipient or this
mail: `Rejected`. About us (login, TLS, sender address, relaying): `Retryable` with the kind
`provider.misconfigured`, since an operator's mistake must not burn every mail that meets it.
"""

import re
from collections.abc import Sequence
from typing import Final

from email_service.providers.smtp.exchange import (
    DeadlinePassed,
    Misconfigured,
    Progress,
    Reply,
    SessionRefused,
    SmtpFailure,
    Stage,
    Unreachable,
)
from shared.contracts.delivery import Problem
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown

_ENHANCED: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_QUEUE_ID: Final = re.compile(r"\bqueued as <?([A-Za-z0-9.-]{1,100})", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"<[^<>]*@[^<>]*>|[^\s<>()\[\],;:\"']+@[^\s<>()\[\],;:\"']+")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_RELAYING: Final = re.compile(r"relay", re.IGNORECASE)

_ABOUT_US: Final = frozenset({530, 534, 535, 538})
"""Log in, in another way, with other credentials, over TLS (RFC 4954 section 6, RFC 3207)."""
_LONGEST_TEXT: Final = 300


def judge_reply(reply: Reply, *, private: Sequence[str] = ()) -> Outcome:
    """The outcome of a mail whose last answer is `reply`; `private` texts are masked in messages."""
    if reply.stage is Stage.BODY and reply.positive:
        queue_id = _QUEUE_ID.search(reply.text)
        return Accepted(provider_message_id=queue_id.group(1) if queue_id else None)
    if 400 <= reply.code < 500:
        if reply.stage is Stage.RCPT and reply.code != 421:
            return Retryable(problem=_problem("address.deferred", reply, private), provider_at_fault=False)
        return Retryable(problem=_problem("provider.unavailable", reply, private))
    if 500 <= reply.code < 600:
        return _judge_refusal(reply, private)
    # Neither yes nor no, at a place where that is no SMTP; after the body the mail may have been taken.
    problem = _problem("provider.unclear", reply, private)
    return Unknown(problem=problem) if reply.stage is Stage.BODY else Retryable(problem=problem)


def judge_failure(failure: SmtpFailure, progress: Progress) -> Outcome:
    """The outcome of a mail that got no answer to judge."""
    match failure:
        case SessionRefused(reply=reply):
            return judge_reply(reply)
        case Misconfigured():
            return Retryable(
                problem=Problem(kind="provider.misconfigured", message=f"The mail server: {failure}.")
            )
        case Unreachable():
            return Retryable(
                problem=Problem(kind="provider.unreachable", message=f"The mail server: {failure}.")
            )
        case DeadlinePassed():
            return deadline_passed()
    return _doubt(progress, kind="provider.disconnected", what="The mail server closed the connection")


def judge_timeout(progress: Progress) -> Outcome:
    """The outcome of a mail whose time ran out."""
    if progress.stage is Stage.WAITING:
        # Our own connections were all busy: no fault of this mail, so no attempt is spent.
        return Throttled(
            after_s=1.0,
            problem=Problem(kind="provider.busy", message="All connections to the mail server are in use."),
        )
    return _doubt(progress, kind="provider.timeout", what="The mail server did not answer in time")


def deadline_passed() -> Outcome:
    """The outcome of a mail that was not sent since its time was up."""
    return Retryable(
        problem=Problem(kind="deadline.passed", message="The time to send it was up before it was sent."),
        provider_at_fault=False,
    )


def mask(text: str, private: Sequence[str] = ()) -> str:
    """A server's text on one line, short, without mail addresses and without the `private` texts."""
    text = _ADDRESS.sub("<…>", text.encode("utf-8", "replace").decode("utf-8"))
    for secret in private:
        if len(secret) >= 3:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "<…>", text, flags=re.IGNORECASE)
    text = _UNPRINTABLE.sub(" ", text).strip()
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def _judge_refusal(reply: Reply, private: Sequence[str]) -> Outcome:
    enhanced = _enhanced_code(reply)
    if reply.code in _ABOUT_US or reply.stage in (Stage.CONNECT, Stage.STARTTLS, Stage.AUTH):
        return Retryable(problem=_problem("provider.misconfigured", reply, private))
    if reply.code == 503:
        # Bad sequence of commands: server and we lost each other; a new connection puts it right.
        return Retryable(problem=_problem("provider.unclear", reply, private))
    if enhanced == "5.3.4" or (reply.code == 552 and enhanced not in ("5.2.2", "")):
        return Rejected(problem=_problem("message.too_large", reply, private))
    if reply.stage is Stage.RCPT:
        return _judge_recipient(reply, enhanced, private)
    if reply.code == 552:
        return Rejected(problem=_problem("message.too_large", reply, private))
    if enhanced == "5.6.7":
        return Rejected(problem=_problem("address.unsupported", reply, private))
    if reply.stage is Stage.MAIL:
        return Retryable(problem=_problem("provider.misconfigured", reply, private))
    return Rejected(problem=_problem("message.refused", reply, private))


def _judge_recipient(reply: Reply, enhanced: str, private: Sequence[str]) -> Outcome:
    if reply.code == 552 and enhanced == "":
        # RFC 5321 4.5.3.1.10: old servers mean 452, "later", here.
        return Retryable(problem=_problem("address.deferred", reply, private), provider_at_fault=False)
    if enhanced in ("", "5.7.0", "5.7.1") and _RELAYING.search(reply.text):
        return Retryable(problem=_problem("provider.misconfigured", reply, private))
    return Rejected(problem=_problem("address.refused", reply, private))


def _doubt(progress: Progress, *, kind: str, what: str) -> Outcome:
    if progress.body_sent:
        message = f"{what} after the message was sent: it may have been taken."
        return Unknown(problem=Problem(kind=kind, message=message))
    return Retryable(problem=Problem(kind=kind, message=f"{what} ({progress.stage})."))


def _enhanced_code(reply: Reply) -> str:
    """RFC 3463's code at the start of the text, or an empty text."""
    found = _ENHANCED.match(reply.text)
    return found.group(1) if found else ""


def _problem(kind: str, reply: Reply, private: Sequence[str]) -> Problem:
    text = mask(reply.text, private)
    return Problem(kind=kind, message=f"The mail server answered {reply.code} to {reply.stage}: {text}")
