"""Mail servers' ways to say "slow down", in their own words: a table."""

import pytest

from email_service.providers.smtp.exchange import Reply, Stage
from email_service.providers.smtp.throttling import throttled_for_s
from email_service.providers.smtp.verdict import judge_reply
from shared.delivery.outcomes import Rejected, Retryable, Throttled


@pytest.mark.parametrize(
    ("stage", "code", "text", "hold_s"),
    [
        # Amazon SES
        (Stage.BODY, 454, "Throttling failure: Maximum sending rate exceeded.", 2),
        (Stage.BODY, 454, "Throttling failure: Daily message quota exceeded.", 600),
        (Stage.CONNECT, 421, "Too many concurrent SMTP connections", 60),
        # Gmail and its relay
        (
            Stage.BODY,
            421,
            "4.7.28 [192.0.2.1] Our system has detected an unusual rate of\n4.7.28 unsolicited mail from "
            "your IP address. To protect our\n4.7.28 users from spam, mail sent from your IP address has\n"
            "4.7.28 been temporarily rate limited.",
            300,
        ),
        (Stage.BODY, 550, "5.7.28 Gmail has detected an unusual rate of unsolicited mail", 300),
        (Stage.RCPT, 421, "4.7.0 Our system has detected an unusual rate of\n4.7.0 unsolicited mail", 300),
        (Stage.RCPT, 450, "4.2.1 Peak SMTP relay limit exceeded for customer. This is temporary", 60),
        (Stage.RCPT, 550, "5.4.5 Daily user sending limit exceeded. For more information on", 600),
        (Stage.BODY, 550, "5.7.1 Daily SMTP relay limit exceeded for customer", 600),
        (Stage.AUTH, 454, "4.7.0 Too many login attempts, please try again later.", 60),
        # Exchange Online and Outlook.com
        (Stage.RCPT, 451, "4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", 300),
        (Stage.MAIL, 451, "4.7.650 The mail server [192.0.2.1] has been temporarily rate limited", 300),
        (Stage.RCPT, 451, "4.7.850 Access denied, please try again later", 300),
        (Stage.RCPT, 550, "5.7.508 Access denied, 192.0.2.1 has exceeded permitted limits", 300),
        (Stage.BODY, 550, "5.1.90 Your message can't be sent because you've reached your daily limit", 600),
        (Stage.BODY, 550, "5.7.233 Your tenant has exceeded its limit for external recipients", 300),
        (Stage.BODY, 554, "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", 600),
        (
            Stage.MAIL,
            421,
            "RP-001 (COL004-MC1F1) Unfortunately, some messages from 192.0.2.1 weren't sent.",
            300,
        ),
        # Yahoo
        (
            Stage.MAIL,
            421,
            "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user "
            "complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
            300,
        ),
        (Stage.CONNECT, 421, "4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred", 300),
        (Stage.MAIL, 421, "Message from (192.0.2.1) temporarily deferred - 4.16.50", 300),
        # Postfix
        (Stage.CONNECT, 421, "4.7.0 mx.example Error: too many connections from 192.0.2.1", 60),
        (Stage.MAIL, 450, "4.7.1 Error: too much mail from 192.0.2.1", 60),
        (Stage.RCPT, 450, "4.7.1 Error: too many recipients from mail.example[192.0.2.1]", 60),
        (Stage.AUTH, 450, "4.7.0 Error: too many AUTH commands from 192.0.2.1", 60),
        # Others
        (Stage.MAIL, 452, "4.4.5 Messages per second limit exceeded", 2),
        (Stage.MAIL, 451, "Your account: hourly sending limit reached", 600),
        (Stage.RCPT, 451, "4.7.1 You have exceeded the maximum number of messages per hour", 600),
        (Stage.RCPT, 450, "4.7.0 Rate limit exceeded", 60),
        (Stage.RCPT, 421, "4.7.0 slow down", 60),
        (Stage.RCPT, 450, "too frequent connects from 192.0.2.1, please try again later.", 60),
        (Stage.RCPT, 550, "5.4.6 Unusual sending activity detected. Please try after sometime", 60),
        (Stage.RCPT, 550, "Domain example.com has exceeded the max emails per hour (100/100) allowed", 600),
        # What they name is what is waited for, within bounds.
        (Stage.RCPT, 450, "4.7.0 Rate limit exceeded, try again in 300 seconds", 300),
        (Stage.RCPT, 450, "4.7.0 Rate limited. Retry after 5 min", 300),
        (Stage.RCPT, 450, "4.7.0 Rate limited; retry-after: 90s", 90),
        (Stage.RCPT, 450, "4.7.0 Rate limited, wait 2 hours", 3600),
        (Stage.RCPT, 450, "4.7.0 Rate limited, wait 0 s", 2),
        (Stage.RCPT, 450, "4.7.0 Rate limited, try again in 999999 h", 3600),
    ],
)
def test_limit_on_us_holds_the_server(stage: Stage, code: int, text: str, hold_s: float) -> None:
    outcome = judge_reply(Reply(stage=stage, code=code, text=text))
    assert isinstance(outcome, Throttled)
    assert outcome.problem.kind == "provider.throttled"
    assert outcome.after_s == hold_s


@pytest.mark.parametrize(
    ("stage", "code", "text", "kind"),
    [
        (
            Stage.RCPT,
            450,
            "4.2.0 <ann@example.com>: Recipient address rejected: Greylisted, see https://postgrey.example "
            "and try again in 300 seconds",
            "address.deferred",
        ),
        (Stage.RCPT, 451, "4.7.1 Greylisting in action, please come back later", "address.deferred"),
        (Stage.BODY, 451, "4.7.1 graylisted for 5 minutes", "address.deferred"),
        (
            Stage.RCPT,
            450,
            "4.2.1 The user you are trying to contact is receiving mail too quickly.",
            "address.deferred",
        ),
        (
            Stage.RCPT,
            450,
            "4.2.1 The user you are trying to contact is receiving mail at a rate that\n4.2.1 prevents more",
            "address.deferred",
        ),
        (Stage.BODY, 432, "4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", "address.deferred"),
        (
            Stage.RCPT,
            452,
            "4.2.2 The email account that you tried to reach is over quota",
            "address.deferred",
        ),
        (Stage.RCPT, 452, "4.2.2 Mailbox quota limit exceeded", "address.deferred"),
        (Stage.RCPT, 452, "4.2.2 <ann@example.com>: user's message quota exceeded", "address.deferred"),
        (Stage.RCPT, 452, "4.2.2 The user's daily message limit reached", "address.deferred"),
        (Stage.RCPT, 450, "4.2.1 recipient's mail rate limit exceeded", "address.deferred"),
        (Stage.RCPT, 450, "4.7.1 too many messages to this recipient", "address.deferred"),
        (Stage.RCPT, 450, "4.7.1 rate limit exceeded for recipient", "address.deferred"),
        (Stage.RCPT, 452, "4.5.3 Your message has too many recipients", "address.deferred"),
        (Stage.RCPT, 452, "4.5.3 Error: too many recipients", "address.deferred"),
    ],
)
def test_limit_on_one_recipient_holds_nobody_else(stage: Stage, code: int, text: str, kind: str) -> None:
    outcome = judge_reply(Reply(stage=stage, code=code, text=text))
    assert isinstance(outcome, Retryable)
    assert not outcome.provider_at_fault
    assert outcome.problem.kind == kind


@pytest.mark.parametrize(
    ("stage", "code", "text"),
    [
        (Stage.RCPT, 550, "5.2.121 The recipient has exceeded their limit for messages per hour"),
        (Stage.RCPT, 552, "5.2.2 The user has exceeded his quota"),
        (Stage.RCPT, 552, "5.2.2 <ann@example.com> Mailbox message quota exceeded"),
        (Stage.RCPT, 552, "5.2.2 ann@example.com: mail quota exceeded"),
        (Stage.RCPT, 550, "5.2.2 Customer has exceeded storage quota"),
        (Stage.BODY, 552, "5.3.4 Message size exceeds fixed limit"),
        (Stage.BODY, 552, "Message size exceeds the limit"),
        (Stage.BODY, 554, "5.7.1 Message rejected as spam"),
        (Stage.BODY, 550, "5.6.0 Header count exceeds the limit"),
    ],
)
def test_limit_on_a_mail_or_a_mailbox_is_a_refusal(stage: Stage, code: int, text: str) -> None:
    assert isinstance(judge_reply(Reply(stage=stage, code=code, text=text)), Rejected)


@pytest.mark.parametrize(
    "text",
    [
        "4.3.2 Service shutting down",
        "4.4.2 timeout exceeded",
        "4.7.0 Too many messages in this connection",
        "4.7.0 Too many messages for one session",
        "4.7.0 mx.example Error: too many errors",
    ],
)
def test_end_of_one_connection_is_no_limit(text: str) -> None:
    assert throttled_for_s(Reply(stage=Stage.MAIL, code=421, text=text)) is None


def test_a_long_hostile_text_is_judged_quickly() -> None:
    text = "4.7.0 " + "your ip exceeded the recipient receiving " * 10_000
    assert isinstance(judge_reply(Reply(stage=Stage.RCPT, code=450, text=text)), Retryable | Throttled)


@pytest.mark.parametrize(
    ("stage", "code", "text"),
    [
        (Stage.BODY, 550, "The from address does not match a verified Sender Identity."),
        (
            Stage.BODY,
            554,
            "5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
        ),
        (Stage.BODY, 554, "5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; refused"),
        (Stage.RCPT, 550, "SMTP AUTH is required for message submission"),
        (Stage.RCPT, 550, "5.7.1 Authentication required"),
        (Stage.RCPT, 550, "You must be authenticated to send"),
        (Stage.RCPT, 550, "Sender verify failed"),
        (Stage.BODY, 550, "Sender domain not verified"),
        (Stage.BODY, 550, "Your account is suspended"),
    ],
)
def test_what_an_operator_can_put_right_burns_no_mail(stage: Stage, code: int, text: str) -> None:
    outcome = judge_reply(Reply(stage=stage, code=code, text=text))
    assert isinstance(outcome, Retryable)
    assert outcome.problem.kind == "provider.misconfigured"


def test_a_disabled_mailbox_is_not_our_account() -> None:
    text = "5.2.1 The email account that you tried to reach is disabled"
    assert isinstance(judge_reply(Reply(stage=Stage.RCPT, code=550, text=text)), Rejected)
