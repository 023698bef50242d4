"""Whether a mail server tells us to slow down, and for how long. Pure.

SMTP knows no Retry-After, and no code that all agree on: what there is are words. Only a limit on us as a
sender counts. A limit on one recipient (a mailbox that gets too much, greylisting) must not hold the mail of
all others.

Words: Postfix (anvil(8), postscreen(8)), Exim, and the published lists of Amazon SES
(docs.aws.amazon.com/ses, "Errors related to the sending quotas"), Gmail
(support.google.com/a/answer/3726730), Yahoo (senders.yahooinc.com/smtp-error-codes) and Outlook.com
(sendersupport.olc.protection.outlook.com).
"""

import re
from typing import Final

from email_service.providers.smtp.exchange import Reply
from email_service.providers.smtp.statuses import About, about, subject_of

RATE_HOLD_S: Final = 2.0
"""For a limit per second."""
DEFAULT_HOLD_S: Final = 60.0
REPUTATION_HOLD_S: Final = 300.0
"""Where a server distrusts us for what we sent: whoever asks again soon is trusted still less."""
QUOTA_HOLD_S: Final = 600.0
"""For a quota of a day or an hour: it frees up bit by bit, and AWS asks for up to ten minutes."""
LONGEST_HOLD_S: Final = 3600.0

_MAY_BE_US: Final = (About.STAGE, About.SERVER, About.US)
_LONGEST_TEXT: Final = 2000
_REPEATED_STATUS: Final = re.compile(r"(?m)^\s*[245]\.\d{1,3}\.\d{1,3}\s+")
_SPACE: Final = re.compile(r"\s+")


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_SURELY_OF_US: Final = _words(
    r"\bsending (?:\w+ )?(?:rate|limit|quota)",
    r"submission ?quota",
    r"throttling failure",
    r"\brelay limit",
    r"unusual (?:sending activity|rate of (?:unsolicited )?mail)",
    r"max(?:imum)? (?:defers and failures|emails?|messages?|mails?) per (?:hour|day)",
)
"""Even where the code says that it is about a mailbox."""
_OF_US: Final = _words(
    r"\b(?:submission|message|e?mail|mailing|relay|hourly|daily) (?:\w+ )?(?:rate|limit|quota)"
    r" (?:was |has been |is )?(?:exceeded|reached)",
    r"too (?:many|much) (?:[\w-]+ ){1,4}from (?:you|this|the same|\S*\d|\[)",
    r"too many (?:concurrent |simultaneous |open |smtp |new |tls ){0,3}(?:connections|sessions|logins)\b",
    r"too many (?:failed )?(?:login|auth\w*) (?:attempts|commands)",
    r"(?:your|from your|this) (?:ip|ip address|domain|host|account|server|client)\b.{0,60}"
    r"(?:rate[ -]limited|throttled|too (?:many|much|fast)|temporarily (?:blocked|deferred|limited))",
    r"(?:you|client|sender|tenant|customer)(?:'ve| have| has)? (?:exceeded|reached) .{0,40}"
    r"(?:rate|limit|quota|maximum|number of)",
    r"(?:slow down|sending too (?:fast|quickly|much|many)|too frequent connects?)",
)
_OF_OUR_REPUTATION: Final = _words(
    r"\[TSS?\d\d\]",
    r"\bRP-00\d\b",
    r"unexpected volume or user complaints",
    r"unusual rate of unsolicited mail",
    r"messages? from \S+ temporarily deferred",
)
_OF_ONE_RECIPIENT: Final = _words(
    r"gr[ae]y-?list",
    r"over ?quota",
    r"mailbox (?:[\w']+ )?(?:full|quota|exceed|over)",
    r"\bstorage\b",
    r"(?:to|for) (?:(?:this|the|that|one) )?(?:recipient|user|mailbox)\b",
    r"(?:user|recipient|mailbox)'s\b",
    r"(?:user|recipient|mailbox|account) .{0,60}(?:is )?receiving",
    r"recipient thread limit",
    r"recipient(?:'s \w+)? (?:has )?(?:exceeded|reached)",
    r"(?:per|in|for|on|over) (?:(?:this|the same|one|a|each) )?(?:smtp )?"
    r"(?:connection|session|transaction|message)\b",
    r"\bsize\b",
)
"""Or of one mail or connection: neither is mended by holding back the others."""
_AT_LARGE: Final = _words(
    r"rate[ -]?limit",
    r"\bthrottl",
    r"\b(?:rate|limit|threshold) (?:was |has been |is )?(?:exceeded|reached)",
    r"exceed(?:ed|s) (?:the |your |its )?(?:\w+ ){0,3}(?:rate|limit|threshold)",
    r"too (?:many|much) (?:messages|e?mails?|requests|traffic)",
)
"""About us, unless the code says that they are about something else."""
_QUOTA: Final = _words(r"\bdaily\b", r"\bhourly\b", r"per (?:day|hour)", r"24[ -]hours?", r"quota")
_PER_SECOND: Final = _words(r"per second", r"/s(?:ec)?\b", r"maximum sending rate")
_TIME: Final = re.compile(
    r"(?:\b(?:in|after|for|wait|within|least|about)\s+|retry[- ]?(?:after)?[:= ]\s*)(\d{1,6})\s*"
    r"(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?)\b",
    re.IGNORECASE,
)
_UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


def throttled_for_s(reply: Reply) -> float | None:
    """Seconds to hold back, between 2 and 3,600; None where a refusal is no limit on us as a sender."""
    text = _SPACE.sub(" ", _REPEATED_STATUS.sub("", reply.text[:_LONGEST_TEXT]))
    subject = about(reply)
    if subject is About.OUR_RATE or _OF_OUR_REPUTATION.search(text):
        return _hold_s(text, otherwise=_usual_s(text, REPUTATION_HOLD_S))
    may_be_us = subject in _MAY_BE_US and subject_of(reply) != "2"
    limited = _SURELY_OF_US.search(text) or (
        may_be_us and not _OF_ONE_RECIPIENT.search(text) and (_OF_US.search(text) or _AT_LARGE.search(text))
    )
    if limited:
        return _hold_s(text, otherwise=_usual_s(text, DEFAULT_HOLD_S))
    return None


def _usual_s(text: str, otherwise: float) -> float:
    if _PER_SECOND.search(text):
        return RATE_HOLD_S
    return QUOTA_HOLD_S if _QUOTA.search(text) else otherwise


def _hold_s(text: str, *, otherwise: float) -> float:
    """What the words name, such as "try again in 300 seconds"."""
    named = _TIME.search(text)
    if named is None:
        return otherwise
    wait_s = float(named.group(1)) * _UNITS_S[named.group(2)[0].lower()]
    return min(max(wait_s, RATE_HOLD_S), LONGEST_HOLD_S)
