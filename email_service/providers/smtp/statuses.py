"""Enhanced status codes: whom a refusal is about.

Codes: the IANA registry "SMTP Enhanced Status Codes" (RFC 3463, 3886, 4468, 4954, 5248, 6531, 6710, 7293,
7372, 7505, 8617, 8689), and those that Exchange Online adds
(learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online).
"""

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from email_service.providers.smtp.exchange import Reply

_STATUS: Final = re.compile(r"\s*[#(\[]?[245]\.(\d{1,3}\.\d{1,3})\b")


class About(Enum):
    """Whom a refusal is about; what follows from it stands in verdict.py."""

    US = auto()
    """Our login, address, name or reputation: an operator's to put right."""
    OUR_RATE = auto()
    """We send too much or too fast: to be held."""
    SERVER = auto()
    """The mail server's own state."""
    RECIPIENT = auto()
    MESSAGE = auto()
    SIZE = auto()
    LETTERS = auto()
    """An address or header that is not ASCII."""
    STAGE = auto()
    """The code says no more than the stage at which it came."""


ABOUT: Final[Mapping[str, About]] = {
    "0.0": About.STAGE,
    # Addresses
    "1.0": About.STAGE,
    "1.1": About.RECIPIENT,
    "1.2": About.RECIPIENT,
    "1.3": About.RECIPIENT,
    "1.4": About.RECIPIENT,
    "1.5": About.STAGE,  # "valid": only ever a yes
    "1.6": About.RECIPIENT,
    "1.7": About.US,
    "1.8": About.US,
    "1.9": About.STAGE,  # relayed to a mailer without reports (RFC 3886)
    "1.10": About.RECIPIENT,  # its domain takes no mail (RFC 7505)
    "1.90": About.OUR_RATE,  # Exchange Online: the day's recipients are used up
    # Mailboxes
    "2.0": About.STAGE,
    "2.1": About.RECIPIENT,
    "2.2": About.RECIPIENT,
    "2.3": About.SIZE,
    "2.4": About.RECIPIENT,
    "2.121": About.RECIPIENT,  # Exchange Online: it gets too much, from one sender or from all
    "2.122": About.RECIPIENT,
    "2.252": About.US,  # Exchange Online: SendAsDenied
    # The mail server
    "3.0": About.STAGE,
    "3.1": About.SERVER,
    "3.2": About.SERVER,
    "3.3": About.STAGE,
    "3.4": About.SIZE,
    "3.5": About.SERVER,
    "3.6": About.STAGE,  # "priority changed" (RFC 6710): only ever a yes
    # Network and routing, as a rule behind the server: on the way to this recipient
    "4.0": About.STAGE,
    "4.1": About.RECIPIENT,
    "4.2": About.STAGE,
    "4.3": About.SERVER,
    "4.4": About.RECIPIENT,
    "4.5": About.SERVER,
    "4.6": About.RECIPIENT,
    "4.7": About.STAGE,
    # Protocol
    "5.0": About.STAGE,
    "5.1": About.STAGE,
    "5.2": About.STAGE,
    "5.3": About.STAGE,
    "5.4": About.STAGE,
    "5.5": About.STAGE,
    "5.6": About.US,  # the AUTH exchange is too long (RFC 4954)
    # Content
    "6.0": About.MESSAGE,
    "6.1": About.MESSAGE,
    "6.2": About.MESSAGE,
    "6.3": About.MESSAGE,
    "6.4": About.MESSAGE,
    "6.5": About.MESSAGE,
    "6.6": About.MESSAGE,
    "6.7": About.LETTERS,
    "6.8": About.LETTERS,
    "6.9": About.LETTERS,
    "6.10": About.LETTERS,
    # Security and policy
    "7.0": About.STAGE,
    "7.1": About.STAGE,
    "7.2": About.RECIPIENT,
    "7.3": About.STAGE,
    "7.4": About.STAGE,
    "7.5": About.STAGE,
    "7.6": About.STAGE,
    "7.7": About.MESSAGE,
    "7.8": About.US,
    "7.9": About.US,
    "7.10": About.US,
    "7.11": About.US,
    "7.12": About.STAGE,  # a new password at AUTH; Exchange Online: the recipient takes no strangers
    "7.13": About.STAGE,  # our account at AUTH; others say it of a mailbox
    "7.14": About.US,
    "7.15": About.SERVER,  # takes higher priorities only, for the time being (RFC 6710)
    "7.16": About.SIZE,
    "7.17": About.RECIPIENT,
    "7.18": About.RECIPIENT,
    "7.19": About.STAGE,
    "7.20": About.US,  # DKIM, SPF, reverse DNS: 7.20 to 7.27
    "7.21": About.US,
    "7.22": About.US,
    "7.23": About.US,
    "7.24": About.US,
    "7.25": About.US,
    "7.26": About.US,
    "7.27": About.US,
    "7.28": About.OUR_RATE,  # "mail flood"; Gmail says it of address, domain and links
    "7.29": About.MESSAGE,
    "7.30": About.STAGE,
    # Exchange Online
    "7.54": About.US,
    "7.57": About.US,
    "7.60": About.US,
    "7.64": About.US,
    "7.232": About.OUR_RATE,
    "7.233": About.OUR_RATE,
    "7.236": About.OUR_RATE,
    "7.501": About.US,
    "7.502": About.US,
    "7.503": About.US,
    "7.506": About.US,
    "7.508": About.OUR_RATE,
    "7.509": About.US,
    "7.510": About.US,
    "7.511": About.US,
    "7.512": About.MESSAGE,
    "7.515": About.US,
    "7.705": About.US,
    "7.708": About.US,
    "7.750": About.US,
}
"""By subject and detail; the class is left to the reply code, which says the same or is right."""

_OUTLOOK_SLOWS: Final = frozenset({*range(500, 700), *range(850, 900)})
"""Details of 4.7.z with which Exchange Online and Outlook.com slow a sender down."""
_OUTLOOK_BANS: Final = range(606, 650)
"""Details of 5.7.z with which they shut an address out."""


def about(reply: Reply) -> About:
    """By the enhanced status code that the text begins with; `STAGE` without one, or with an unknown one."""
    found = _STATUS.match(reply.text)
    if found is None:
        return About.STAGE
    status = found.group(1)
    subject, detail = status.split(".")
    if subject == "7" and reply.code < 500 and int(detail) in _OUTLOOK_SLOWS:
        return About.OUR_RATE
    if subject == "7" and int(detail) in _OUTLOOK_BANS:
        return About.US
    return ABOUT.get(status, About.STAGE)


def subject_of(reply: Reply) -> str:
    """The subject of its enhanced status code, such as `7` (policy), or an empty text."""
    found = _STATUS.match(reply.text)
    return found.group(1).partition(".")[0] if found else ""
