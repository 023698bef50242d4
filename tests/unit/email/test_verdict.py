"""What a mail server's answers mean: a table."""

import pytest

from email_service.providers.smtp.exchange import (
    DeadlinePassed,
    Misconfigured,
    Progress,
    Reply,
    SessionLost,
    SessionRefused,
    SmtpFailure,
    Stage,
    Unreachable,
)
from email_service.providers.smtp.verdict import judge_failure, judge_reply, judge_timeout, mask
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown


def summary(outcome: Outcome) -> tuple[type[Outcome], str]:
    return type(outcome), "" if isinstance(outcome, Accepted) else outcome.problem.kind


@pytest.mark.parametrize(
    ("stage", "code", "text", "outcome", "kind"),
    [
        # Taken.
        (Stage.BODY, 250, "2.0.0 Ok", Accepted, ""),
        (Stage.BODY, 251, "will forward", Accepted, ""),
        # Later.
        (Stage.CONNECT, 421, "4.3.2 too busy", Retryable, "provider.unavailable"),
        (Stage.AUTH, 454, "4.7.0 temporary failure", Retryable, "provider.unavailable"),
        (Stage.MAIL, 421, "4.4.2 timeout", Retryable, "provider.unavailable"),
        (Stage.MAIL, 452, "4.3.1 no room", Retryable, "provider.unavailable"),
        (Stage.RCPT, 421, "4.4.2 timeout", Retryable, "provider.unavailable"),
        (Stage.RCPT, 450, "4.2.0 greylisted", Retryable, "address.deferred"),
        (Stage.RCPT, 451, "4.3.0 try later", Retryable, "address.deferred"),
        (Stage.RCPT, 452, "4.5.3 too many recipients", Retryable, "address.deferred"),
        (Stage.RCPT, 452, "4.2.2 mailbox full", Retryable, "address.deferred"),
        (Stage.RCPT, 552, "too many recipients", Retryable, "address.deferred"),
        (Stage.RCPT, 552, "5.5.3 too many recipients", Retryable, "address.deferred"),
        (Stage.DATA, 451, "4.3.0 try later", Retryable, "provider.unavailable"),
        (Stage.BODY, 421, "4.3.0 going down", Retryable, "provider.unavailable"),
        (Stage.BODY, 451, "4.7.1 try later", Retryable, "provider.unavailable"),
        (Stage.BODY, 452, "4.3.1 no room", Retryable, "provider.unavailable"),
        # The operator's to put right, so nothing is burnt.
        (Stage.CONNECT, 554, "5.7.1 no service for you", Retryable, "provider.misconfigured"),
        (Stage.STARTTLS, 502, "5.5.1 no TLS here", Retryable, "provider.misconfigured"),
        (Stage.AUTH, 535, "5.7.8 wrong password", Retryable, "provider.misconfigured"),
        (Stage.AUTH, 534, "5.7.9 other mechanism", Retryable, "provider.misconfigured"),
        (Stage.MAIL, 530, "5.7.0 log in first", Retryable, "provider.misconfigured"),
        (Stage.MAIL, 550, "5.1.8 sender unknown", Retryable, "provider.misconfigured"),
        (Stage.MAIL, 553, "5.7.1 not your address", Retryable, "provider.misconfigured"),
        (Stage.MAIL, 555, "5.5.4 parameter", Retryable, "provider.misconfigured"),
        (Stage.RCPT, 530, "5.7.0 log in first", Retryable, "provider.misconfigured"),
        (Stage.RCPT, 554, "5.7.1 <a@b.example>: Relay access denied", Retryable, "provider.misconfigured"),
        (Stage.RCPT, 550, "relaying denied", Retryable, "provider.misconfigured"),
        (Stage.MAIL, 503, "5.5.1 bad sequence", Retryable, "provider.unclear"),
        (Stage.RCPT, 503, "5.5.1 bad sequence", Retryable, "provider.unclear"),
        (Stage.AUTH, 525, "5.7.13 account disabled", Retryable, "provider.misconfigured"),
        (Stage.RCPT, 523, "5.7.10 encryption needed", Retryable, "provider.misconfigured"),
        (Stage.CONNECT, 521, "5.3.2 takes no mail", Retryable, "provider.misconfigured"),
        (
            Stage.RCPT,
            554,
            "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using list.example",
            Retryable,
            "provider.misconfigured",
        ),
        (Stage.RCPT, 450, "4.7.1 Client host rejected: no name", Retryable, "provider.misconfigured"),
        (Stage.RCPT, 450, "4.1.8 <…>: Sender address rejected", Retryable, "provider.misconfigured"),
        (
            Stage.RCPT,
            553,
            "5.7.1 <…>: Sender address rejected: not yours",
            Retryable,
            "provider.misconfigured",
        ),
        (Stage.RCPT, 550, "5.7.54 SMTP; Unable to relay recipient", Retryable, "provider.misconfigured"),
        (Stage.BODY, 550, "5.7.26 unauthenticated mail", Retryable, "provider.misconfigured"),
        (
            Stage.BODY,
            554,
            "Message rejected: Email address is not verified.",
            Retryable,
            "provider.misconfigured",
        ),
        (Stage.RCPT, 500, "5.5.2 what?", Retryable, "provider.unclear"),
        (Stage.RCPT, 451, "4.7.0 Temporary server error. PRX4", Retryable, "provider.unavailable"),
        # Never.
        (Stage.RCPT, 550, "5.1.1 no such user", Rejected, "address.refused"),
        (Stage.RCPT, 550, "5.7.1 blocked by policy", Rejected, "address.refused"),
        (Stage.RCPT, 501, "5.1.3 bad address", Rejected, "address.refused"),
        (Stage.RCPT, 551, "user not local", Rejected, "address.refused"),
        (Stage.RCPT, 552, "5.2.2 mailbox full", Rejected, "address.refused"),
        (Stage.RCPT, 553, "5.1.3 bad address", Rejected, "address.refused"),
        (Stage.RCPT, 556, "5.1.10 takes no mail", Rejected, "address.refused"),
        (Stage.BODY, 556, "takes no mail", Rejected, "address.refused"),
        (Stage.BODY, 550, "5.1.1 no such user after all", Rejected, "address.refused"),
        (Stage.RCPT, 550, "5.4.1 Recipient address rejected: Access denied", Rejected, "address.refused"),
        (Stage.MAIL, 552, "5.3.4 too large", Rejected, "message.too_large"),
        (Stage.MAIL, 552, "too large", Rejected, "message.too_large"),
        (Stage.RCPT, 552, "5.3.4 too large", Rejected, "message.too_large"),
        (Stage.BODY, 552, "5.3.4 too large", Rejected, "message.too_large"),
        (Stage.BODY, 554, "5.3.4 too large", Rejected, "message.too_large"),
        (Stage.MAIL, 553, "5.6.7 not in ASCII", Rejected, "address.unsupported"),
        (Stage.DATA, 554, "5.5.1 no valid recipients", Rejected, "message.refused"),
        (Stage.BODY, 550, "5.7.1 spam", Rejected, "message.refused"),
        (Stage.BODY, 554, "5.6.0 malformed", Rejected, "message.refused"),
        # Neither yes nor no.
        (Stage.MAIL, 354, "go on", Retryable, "provider.unclear"),
        (Stage.RCPT, 354, "go on", Retryable, "provider.unclear"),
        (Stage.DATA, 250, "ok", Retryable, "provider.unclear"),
        (Stage.BODY, 354, "go on", Unknown, "provider.unclear"),
        (Stage.BODY, 150, "hm", Unknown, "provider.unclear"),
    ],
)
def test_answer_has_its_outcome(
    *, stage: Stage, code: int, text: str, outcome: type[Outcome], kind: str
) -> None:
    assert summary(judge_reply(Reply(stage=stage, code=code, text=text))) == (outcome, kind)


@pytest.mark.parametrize(
    ("text", "queue_id"),
    [
        ("2.0.0 Ok: queued as 4XYZ123", "4XYZ123"),
        ("OK queued as <abc-1.2@mx>", "abc-1.2"),
        ("OK", None),
    ],
)
def test_queue_id_is_kept_as_the_provider_s_message_id(text: str, queue_id: str | None) -> None:
    assert judge_reply(Reply(stage=Stage.BODY, code=250, text=text)) == Accepted(provider_message_id=queue_id)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage not in (Stage.BODY, Stage.WAITING)])
def test_silence_before_the_body_can_be_tried_again(stage: Stage) -> None:
    progress = Progress(stage=stage)
    assert summary(judge_timeout(progress)) == (Retryable, "provider.timeout")
    assert summary(judge_failure(SessionLost(), progress)) == (Retryable, "provider.disconnected")


def test_silence_after_the_body_is_a_doubt() -> None:
    progress = Progress(stage=Stage.BODY, body_sent=True)
    assert summary(judge_timeout(progress)) == (Unknown, "provider.timeout")
    assert summary(judge_failure(SessionLost(), progress)) == (Unknown, "provider.disconnected")


def test_body_that_never_left_us_is_no_doubt() -> None:
    assert summary(judge_timeout(Progress(stage=Stage.BODY))) == (Retryable, "provider.timeout")


def test_waiting_for_our_own_connections_spends_no_attempt() -> None:
    assert summary(judge_timeout(Progress())) == (Throttled, "provider.busy")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Unreachable("no connection"), "provider.unreachable"),
        (Misconfigured("no STARTTLS"), "provider.misconfigured"),
        (DeadlinePassed(), "deadline.passed"),
        (SessionRefused(Reply(stage=Stage.AUTH, code=535, text="no")), "provider.misconfigured"),
        (SessionRefused(Reply(stage=Stage.CONNECT, code=421, text="busy")), "provider.unavailable"),
    ],
)
def test_failure_to_begin_can_be_tried_again(failure: SmtpFailure, kind: str) -> None:
    assert summary(judge_failure(failure, Progress(stage=Stage.CONNECT))) == (Retryable, kind)


@pytest.mark.parametrize(
    "text",
    [
        "5.1.1 <ann.doe@example.com>: no such user",
        "5.1.1 ann.doe@example.com: no such user",
        "5.1.1 User Ann.Doe unknown",
        "5.1.1 rcpt to:<@relay.example:ann.doe@example.com> refused",
        "5.1.1 no such user\n<ann.doe@example.com>\x00",
    ],
)
def test_address_never_gets_into_a_message(text: str) -> None:
    outcome = judge_reply(
        Reply(stage=Stage.RCPT, code=550, text=text), private=("ann.doe@example.com", "ann.doe")
    )
    assert isinstance(outcome, Rejected)
    message = outcome.problem.message
    assert "ann.doe" not in message.lower()
    assert "<…>" in message
    assert message.isprintable()


def test_long_text_is_cut() -> None:
    assert len(mask("x" * 1000)) == 300


def test_text_that_is_no_unicode_is_readable() -> None:
    assert mask("caf\udce9 full") == "caf? full"
