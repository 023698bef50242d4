"""The mails that came, newest last, in memory and bounded."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from carillon.mailbox.parsing import ParsedMail, parse


@dataclass(kw_only=True)
class Mail:
    """One mail as it came over SMTP. It is taken apart when somebody looks, not when it comes."""

    id: str
    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    received_at: datetime
    read: bool = False
    _parsed: ParsedMail | None = field(default=None, repr=False)

    @property
    def parsed(self) -> ParsedMail:
        """Its parts, for people: costs a few milliseconds the first time."""
        if self._parsed is None:
            self._parsed = parse(self.raw)
        return self._parsed


class MailStore:
    """Holds at most `capacity` mails and `capacity_bytes` bytes; the oldest make room."""

    def __init__(self, *, capacity: int, capacity_bytes: int, now: Callable[[], datetime]) -> None:
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._now = now
        self._mails: dict[str, Mail] = {}
        self._bytes = 0

    def add(self, *, sender: str, recipients: Sequence[str], raw: bytes) -> Mail:
        """Keep one more."""
        mail = Mail(
            id=secrets.token_hex(11),
            sender=sender,
            recipients=tuple(recipients),
            raw=raw,
            received_at=self._now(),
        )
        self._mails[mail.id] = mail
        self._bytes += len(raw)
        while len(self._mails) > self._capacity or (
            self._bytes > self._capacity_bytes and len(self._mails) > 1
        ):
            self.remove([next(iter(self._mails))])
        return mail

    def get(self, mail_id: str) -> Mail | None:
        """One mail; `latest` is the newest."""
        if mail_id == "latest":
            return next(reversed(self._mails.values()), None)
        return self._mails.get(mail_id)

    def newest_first(self) -> list[Mail]:
        """All of them."""
        return list(reversed(self._mails.values()))

    def remove(self, mail_ids: Iterable[str]) -> None:
        """Forget these; ids that are not there are no error."""
        for mail_id in mail_ids:
            mail = self._mails.pop(mail_id, None)
            if mail is not None:
                self._bytes -= len(mail.raw)

    def clear(self) -> None:
        """Forget all."""
        self._mails.clear()
        self._bytes = 0

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self._mails)

    @property
    def unread(self) -> int:
        """How many nobody has looked at."""
        return sum(not mail.read for mail in self._mails.values())
