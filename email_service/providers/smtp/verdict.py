"""What a mail server's answer, or its silence, means for a mail. Pure.

The line between "never" and "later" is drawn at whom the refusal is about. About this recipient or this
mail: `Rejected`. About us (login, TLS, sender address, relaying): `Retryable` with the kind
`provider.misconfigured`, since an operator's mistake must not burn every mail that meets it. About how much
we send: `Throttled`. Whom it is about is told by the enhanced status code, else by reply code and stage.
A negative answer to the final dot says that the mail was not taken (RFC 5321 4.2.5); silence says nothing.
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
from email_service.providers.smtp.statuses import About, about, subject_of
from email_service.providers.smtp.throttling import throttled_for_s
from shared.contracts.delivery import Problem
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown

_QUEUE_ID: Final = re.compile(r"\bqueued as <?([A-Za-z0-9.-]{1,100})", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"<[^<>]*@[^<>]*>|[^\s<>()\[\],;:\"']+@[^\s<>()\[\],;:\"']+")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_ABOUT_US: Final = re.compile(
    r"client host (?:\S+ )?(?:rejected|blocked)|sender address rejected|helo command rejected"  # Postfix
    r"|\b(?:your ip|ip address|sending server)\b.{0,60}(?:blocked|banned|listed|rejected|reputation)"
    r"|address is not verified|sending (?:is )?(?:paused|suspended)|not authorized to perform"  # Amazon SES
    r"|verified sender identity"  # SendGrid
    r"|sender (?:domain |address )?(?:is )?not verified|sender verify failed"
    r"|\bauth\w* (?:is )?required|must be authenticated"
    r"|\byour account (?:is |has been )?(?:disabled|suspended)",
    re.IGNORECASE,
)
"""At RCPT TO, where Postfix says by default what it thinks of client and sender, or after the message."""
_ABOUT_US_WHATEVER_THE_CODE: Final = re.compile(r"SendAsDenied|OutboundSpamException", re.IGNORECASE)
"""Exchange says so with the code of a mailbox, since it files the mail in one before it sends it."""
_RELAYING: Final = re.compile(r"relay", re.IGNORECASE)
_SERVER_TROUBLE: Final = re.compile(
    r"server (?:error|busy)|system (?:error|problem|resources)|internal error|lookup failure|local problem",
    re.IGNORECASE,
)
_ONE_RECIPIENT: Final = re.compile(r"gr[ae]y-?list|recipient thread limit", re.IGNORECASE)
"""Said after the message too, by filters that greylist there and by Exchange."""

_CODES_ABOUT_US: Final = frozenset({523, 524, 525, 530, 534, 535, 538})
"""Log in, in another way, with other credentials, with one that works, over TLS (RFC 4954, 5248, 3207)."""
_CODES_OF_CONFUSION: Final = frozenset({500, 502, 503})
"""Server and we have lost each other; a new connection puts it right."""
_OPENING: Final = (Stage.CONNECT, Stage.STARTTLS, Stage.AUTH)
_SUBJECTS: Final = {
    Stage.WAITING: About.US,
    Stage.CONNECT: About.US,
    Stage.STARTTLS: About.US,
    Stage.AUTH: About.US,
    Stage.MAIL: About.US,
    Stage.RCPT: About.RECIPIENT,
    Stage.DATA: About.MESSAGE,
    Stage.BODY: About.MESSAGE,
}
"""Whom a 5yz is about that says no more."""
_KINDS: Final = {
    About.RECIPIENT: "address.refused",
    About.MESSAGE: "message.refused",
    About.SIZE: "message.too_large",
    About.LETTERS: "address.unsupported",
}
_LONGEST_TEXT: Final = 300


def judge_reply(reply: Reply, *, private: Sequence[str] = ()) -> Outcome:
    """The outcome of a mail whose last answer is `reply`; `private` texts are masked in messages."""
    if reply.stage is Stage.BODY and reply.positive:
        queue_id = _QUEUE_ID.search(reply.text)
        return Accepted(provider_message_id=queue_id.group(1) if queue_id else None)
    if 400 <= reply.code < 600:
        hold_s = throttled_for_s(reply)
        if hold_s is not None:
            return Throttled(after_s=hold_s, problem=_problem("provider.throttled", reply, private))
        judge = _judge_delay if reply.code < 500 else _judge_refusal
        return judge(reply, private)
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


def _judge_delay(reply: Reply, private: Sequence[str]) -> Outcome:
    """4yz."""
    subject = _subject(reply)
    if _ONE_RECIPIENT.search(reply.text):
        subject = About.RECIPIENT
    elif subject is About.STAGE and reply.stage is Stage.RCPT:
        troubled = reply.code == 421 or _SERVER_TROUBLE.search(reply.text)
        subject = About.SERVER if troubled else About.RECIPIENT
    match subject:
        case About.US:
            return Retryable(problem=_problem("provider.misconfigured", reply, private))
        case About.RECIPIENT:
            return Retryable(problem=_problem("address.deferred", reply, private), provider_at_fault=False)
        case About.MESSAGE | About.SIZE | About.LETTERS:
            return Retryable(problem=_problem("message.deferred", reply, private), provider_at_fault=False)
    return Retryable(problem=_problem("provider.unavailable", reply, private))


def _judge_refusal(reply: Reply, private: Sequence[str]) -> Outcome:
    """5yz."""
    if reply.code in _CODES_OF_CONFUSION and reply.stage not in _OPENING:
        return Retryable(problem=_problem("provider.unclear", reply, private))
    if reply.code == 552 and reply.stage is Stage.RCPT and about(reply) is About.STAGE:
        # RFC 5321 4.5.3.1.10: old servers mean 452, "later", here.
        return Retryable(problem=_problem("address.deferred", reply, private), provider_at_fault=False)
    subject = _subject(reply)
    if subject is About.STAGE:
        subject = _SUBJECTS[reply.stage]
    if subject in (About.US, About.SERVER):
        kind = "provider.misconfigured" if subject is About.US else "provider.unavailable"
        return Retryable(problem=_problem(kind, reply, private))
    return Rejected(problem=_problem(_KINDS[subject], reply, private))


def _subject(reply: Reply) -> About:
    """Whom a refusal is about, as far as codes and well-known words tell."""
    subject = about(reply)
    if _ABOUT_US_WHATEVER_THE_CODE.search(reply.text):
        return About.US
    if reply.code in _CODES_ABOUT_US or (reply.code >= 500 and reply.stage in _OPENING):
        return About.US
    if reply.stage is Stage.MAIL and subject in (About.RECIPIENT, About.MESSAGE):
        # No recipient and no mail is known yet: it means the sender.
        return About.US
    if subject is About.STAGE and reply.code == 556:
        return About.RECIPIENT  # RFC 7504
    if subject is About.STAGE and reply.code == 552:
        return About.SIZE
    if subject is About.STAGE and _ABOUT_US.search(reply.text):
        return About.US
    if reply.stage is Stage.RCPT and _is_about_relaying(reply):
        return About.US
    return subject


def _is_about_relaying(reply: Reply) -> bool:
    return subject_of(reply) in ("", "7") and bool(_RELAYING.search(reply.text))


def _doubt(progress: Progress, *, kind: str, what: str) -> Outcome:
    if progress.body_sent:
        message = f"{what} after the message was sent: it may have been taken."
        return Unknown(problem=Problem(kind=kind, message=message))
    return Retryable(problem=Problem(kind=kind, message=f"{what} ({progress.stage})."))


def _problem(kind: str, reply: Reply, private: Sequence[str]) -> Problem:
    text = mask(reply.text, private)
    return Problem(kind=kind, message=f"The mail server answered {reply.code} to {reply.stage}: {text}")
