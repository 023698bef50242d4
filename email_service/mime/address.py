"""Mail addresses as SMTP and a header need them (RFC 5321 4.1.2, RFC 5322 3.4.1, RFC 6531, RFC 5890)."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import idna

_ATEXT: Final = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_DOT_ATOM: Final = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*\Z")
_ATOM_CHARACTERS: Final = re.compile(rf"[{_ATEXT}.]+\Z")
_QUOTED: Final = re.compile(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"\Z')
_DOMAIN: Final = re.compile(
    r"(?!.{254})[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*\Z"
)
_LITERAL: Final = re.compile(r"\[[A-Za-z0-9.:]{2,60}\]\Z")


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """A checked address, and the name shown beside it.

    `local` is ready for the wire (quoted where it must be); `domain` is ASCII: IDNA 2008 A-labels.
    """

    local: str
    domain: str
    name: str | None = None

    @property
    def address(self) -> str:
        """The address for envelope and header; it cannot hold a control character, a space outside
        quotes or an angle bracket outside quotes."""
        return f"{self.local}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a server with SMTPUTF8 (RFC 6531) can take it: IDNA helps the domain alone."""
        return not self.local.isascii()


def parse_mailbox(address: str, name: str | None = None) -> Mailbox:
    """Check an address such as `ann@example.com` (without angle brackets).

    Raises ValueError with a sentence that does not repeat the address.
    """
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain:
        raise ValueError("The mail address has no local part, no @ or no domain.")
    mailbox = Mailbox(local=_local_part(local), domain=_ascii_domain(domain), name=name)
    if len(mailbox.local.encode()) > 64 or len(mailbox.address.encode()) > 254:
        raise ValueError("The mail address is too long.")
    return mailbox


def parse_sender(value: str) -> Mailbox:
    """Parse a configured sender: `Carillon <no-reply@example.com>` or a bare address. Raises ValueError."""
    name, bracket, rest = value.strip().rpartition("<")
    if not bracket:
        return parse_mailbox(value.strip())
    if not rest.endswith(">"):
        raise ValueError("The sender's address has no closing angle bracket.")
    name = name.strip()
    if len(name) >= 2 and name.startswith('"') and name.endswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return parse_mailbox(rest[:-1], name or None)


def _local_part(local: str) -> str:
    try:
        local.encode()
    except UnicodeEncodeError:
        raise ValueError("The mail address is not Unicode text.") from None
    ascii_stand_in = "".join(c if c.isascii() else "x" for c in local)
    if not local.isascii() and any(not c.isprintable() for c in local):
        raise ValueError("The mail address holds characters that cannot be printed.")
    if _DOT_ATOM.match(ascii_stand_in) or _QUOTED.match(ascii_stand_in):
        return local
    if _ATOM_CHARACTERS.match(ascii_stand_in):
        # Addresses such as `a..b@example.com` exist (Japanese mobile operators); quoted they are valid.
        return f'"{local}"'
    raise ValueError("The part of the mail address before the @ is not valid.")


@lru_cache(maxsize=4096)
def _ascii_domain(domain: str) -> str:
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except UnicodeError:
            raise ValueError("The domain of the mail address is not valid.") from None
    if _DOMAIN.match(domain) or _LITERAL.match(domain):
        return domain
    raise ValueError("The domain of the mail address is not valid.")
