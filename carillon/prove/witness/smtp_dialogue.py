"""The mail server's side of SMTP (RFC 5321), commands pipelined or not (RFC 2920).

With SIZE (RFC 1870), 8BITMIME (6152), SMTPUTF8 (6531) and ENHANCEDSTATUSCODES (2034). No TLS and no login.
"""

import math
import re
import secrets
from functools import partial

from carillon.prove.witness.behaviour import Do, Rule
from carillon.prove.witness.connection import Connection, Connections
from carillon.prove.witness.reception import Message, Reception
from carillon.prove.witness.traces import mark_of_mail, message_id_of

LARGEST_MAIL = 4 * 1024 * 1024
_LONGEST_COMMAND = 2048
_MOST_RECIPIENTS = 100
_END = b"\r\n.\r\n"
_EXTENSIONS = (
    b"250-witness\r\n250-PIPELINING\r\n250-SIZE %d\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
    b"250 ENHANCEDSTATUSCODES\r\n" % LARGEST_MAIL
)
_PATH = re.compile(r'<((?:[^<>"\x00-\x20]|"(?:[^"\\]|\\.)*")*)>(?: (.*))?')
_PARAMETER = re.compile(r"SIZE=\d{1,20}|BODY=(?:7BIT|8BITMIME)|SMTPUTF8", re.IGNORECASE)
_OUT_OF_ORDER = b"503 5.5.1 Bad sequence of commands\r\n"
_SYNTAX = b"501 5.5.4 Syntax: %s\r\n"
_STATELESS = {
    "NOOP": b"250 2.0.0 Ok\r\n",
    "VRFY": b"252 2.0.0 Cannot verify, but will take a mail\r\n",
    "HELP": b"214 2.0.0 RFC 5321\r\n",
}


class SmtpDialogue(Connection):
    """One connection, for as many mails as the client likes."""

    def __init__(self, reception: Reception, connections: Connections) -> None:
        super().__init__(connections)
        self._reception = reception
        self._greeted = False
        self._sender: str | None = None
        self._takes_utf8 = False
        self._recipients: list[str] = []
        self._in_mail = False
        self._too_large = False
        self._searched = 0

    def begin(self) -> None:
        """Greet, or have no room."""
        refused = self._reception.behaviour.refuses_connection()
        if refused:
            self._reception.decline("", Do.REFUSE_GREETING)
        if refused or self._connections.full:
            self.say(b"421 4.3.2 Service not available, closing transmission channel\r\n")
            self.end()
        else:
            self.say(b"220 witness ESMTP\r\n")

    def step(self) -> bool:
        """A command, or a mail."""
        return self._take_mail() if self._in_mail else self._take_command()

    def _take_command(self) -> bool:
        end = self.buffer.find(b"\r\n")
        if end > _LONGEST_COMMAND or (end < 0 and len(self.buffer) > _LONGEST_COMMAND):
            self.say(b"500 5.5.2 Line too long\r\n")
            self.end()
            return False
        if end < 0:
            return False
        line = self.buffer[:end].decode("utf-8", "replace")
        del self.buffer[: end + 2]
        verb, _, rest = line.partition(" ")
        self._obey(verb.upper(), rest.strip())
        return True

    def _obey(self, verb: str, rest: str) -> None:
        match verb:
            case "EHLO" | "HELO":
                self._greeted = True
                self._forget()
                self.say(_EXTENSIONS if verb == "EHLO" else b"250 witness\r\n")
            case "MAIL":
                self.say(self._take_sender(rest))
            case "RCPT":
                self.say(self._take_recipient(rest))
            case "DATA":
                self._begin_mail()
            case "RSET":
                self._forget()
                self.say(b"250 2.0.0 Ok\r\n")
            case "QUIT":
                self.say(b"221 2.0.0 Bye\r\n")
                self.end()
            case _:
                self.say(_STATELESS.get(verb, b"500 5.5.1 Command unrecognized\r\n"))

    def _take_sender(self, rest: str) -> bytes:
        if not self._greeted or self._sender is not None:
            return _OUT_OF_ORDER
        path = _PATH.fullmatch(rest[5:].lstrip()) if rest[:5].upper() == "FROM:" else None
        if path is None:
            return _SYNTAX % b"MAIL FROM:<address>"
        parameters = (path.group(2) or "").upper().split()
        if not all(_PARAMETER.fullmatch(each) for each in parameters):
            return b"555 5.5.4 Unsupported option\r\n"
        if any(int(each[5:]) > LARGEST_MAIL for each in parameters if each.startswith("SIZE=")):
            return b"552 5.3.4 Message size exceeds fixed limit\r\n"
        self._takes_utf8 = "SMTPUTF8" in parameters
        if not (path.group(1).isascii() or self._takes_utf8):
            return b"553 5.6.7 Sender's address needs SMTPUTF8\r\n"
        self._sender = path.group(1)
        return b"250 2.1.0 Ok\r\n"

    def _take_recipient(self, rest: str) -> bytes:
        if self._sender is None:
            return _OUT_OF_ORDER
        path = _PATH.fullmatch(rest[3:].lstrip()) if rest[:3].upper() == "TO:" else None
        if path is None or not path.group(1):
            return _SYNTAX % b"RCPT TO:<address>"
        if path.group(2):
            return b"555 5.5.4 Unsupported option\r\n"
        if not (path.group(1).isascii() or self._takes_utf8):
            return b"553 5.6.7 Recipient's address needs SMTPUTF8\r\n"
        if len(self._recipients) >= _MOST_RECIPIENTS:
            return b"452 4.5.3 Too many recipients\r\n"
        self._recipients.append(path.group(1))
        return b"250 2.1.5 Ok\r\n"

    def _begin_mail(self) -> None:
        if not self._recipients:
            self.say(_OUT_OF_ORDER)
            return
        self._in_mail = True
        self._too_large = False
        self._searched = 0
        # So that a mail that is a lone dot ends, too, where its line begins.
        self.buffer[:0] = b"\r\n"
        self.say(b"354 End data with <CR><LF>.<CR><LF>\r\n")

    def _take_mail(self) -> bool:
        # A line of the text that begins with a dot comes with two (section 4.5.2), so this is the end.
        end = self.buffer.find(_END, self._searched)
        length = len(self.buffer) if end < 0 else end
        self._too_large = self._too_large or length > LARGEST_MAIL
        if end < 0:
            if self._too_large:
                del self.buffer[: -len(_END)]
            self._searched = max(0, len(self.buffer) - len(_END) + 1)
            return False
        mail = bytes(self.buffer[2:end])
        del self.buffer[: end + len(_END)]
        recipients = tuple(self._recipients)
        self._in_mail = False
        self._forget()
        if self._too_large:
            self._reception.decline("", "too_large")
            self.say(b"552 5.3.4 Message too big\r\n")
        else:
            self.work(partial(self._receive, mail, recipients))
        return True

    def _forget(self) -> None:
        self._sender = None
        self._recipients.clear()

    async def _receive(self, mail: bytes, recipients: tuple[str, ...]) -> None:
        message = Message(mark=mark_of_mail(mail), recipients=recipients, message_id=message_id_of(mail))
        rule = await self._reception.take(message)
        match rule.do:
            case Do.HANG | Do.ACCEPT_SILENT:
                self.hang()
            case Do.RESET | Do.ACCEPT_RESET:
                self.reset()
            case Do.GARBAGE:
                self.say(b"\x16\x03\x00\xfe\xff no reply of a mail server\r\n")
                self.end()
            case _:
                self.say(_reply(rule, recipients[0]))


def _reply(rule: Rule, recipient: str) -> bytes:
    """In the words of servers in use: rspamd and Postfix."""
    match rule.do:
        case Do.THROTTLE:
            seconds = math.ceil(rule.seconds)
            text = (
                f"451 4.7.1 Rate limit exceeded, too many messages from you, try again in {seconds} seconds"
            )
        case Do.REFUSE_TEMPORARILY:
            text = f"450 4.2.0 <{recipient}>: Recipient address rejected: Mailbox temporarily unavailable"
        case Do.TROUBLE:
            text = "451 4.3.0 Error: local error in processing"
        case Do.REFUSE:
            text = f"550 5.1.1 <{recipient}>: Recipient address rejected: User unknown"
        case _:
            text = f"250 2.0.0 Ok: queued as {secrets.token_hex(6).upper()}"
    return text.encode() + b"\r\n"
