"""A small part of Mailpit's search: words, and `to: from: subject: message-id: is:` before a word."""

import shlex
from collections.abc import Callable

from carillon.mailbox.parsing import Mailbox
from carillon.mailbox.store import Mail

_FIELDS: dict[str, Callable[[Mail], str]] = {
    "to": lambda mail: " ".join([*_addresses(*mail.parsed.to), *mail.recipients]),
    "cc": lambda mail: " ".join(_addresses(*mail.parsed.cc)),
    "from": lambda mail: " ".join([*_addresses(*filter(None, [mail.parsed.sender])), mail.sender]),
    "subject": lambda mail: mail.parsed.subject,
    "message-id": lambda mail: mail.parsed.message_id,
    "is": lambda mail: "read" if mail.read else "unread",
}


def matches(mail: Mail, query: str) -> bool:
    """Whether every term of `query` is found, whatever the case; `-` or `!` before a term turns it round."""
    return all(_term_matches(mail, term) for term in _terms(query))


def _terms(query: str) -> list[str]:
    try:
        return shlex.split(query.lower())
    except ValueError:  # an open quote
        return query.lower().replace('"', " ").replace("'", " ").split()


def _term_matches(mail: Mail, term: str) -> bool:
    if len(term) > 1 and term[0] in "-!":
        return not _term_matches(mail, term[1:])
    field, separator, word = term.partition(":")
    if separator and field in _FIELDS:
        found = _FIELDS[field](mail).lower()
        return found == word if field == "is" else word in found
    everywhere = (_FIELDS[name](mail) for name in ("to", "cc", "from", "subject", "message-id"))
    return any(term in text.lower() for text in (*everywhere, mail.parsed.text, mail.parsed.html))


def _addresses(*mailboxes: Mailbox) -> list[str]:
    return [f"{mailbox.name} {mailbox.address}" for mailbox in mailboxes]
