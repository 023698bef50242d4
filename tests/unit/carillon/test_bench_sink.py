"""The bundled sink's SMTP, and the journals that sinks leave."""

import asyncio
from pathlib import Path

import pytest

from carillon.bench.journal import DumpJournal, SinkJournal, notification_of
from carillon.bench.sink_protocol import SmtpSinkProtocol, message_id_of

MAIL = b"From: a@example.com\r\nMessage-ID: <one@x>\r\nSubject: Hi\r\n\r\nText\r\n"
ENVELOPE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"


class Peer(asyncio.Transport):
    """The sender's end: what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = b""
        self.closed = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.told += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def codes(self) -> list[int]:
        """The code of each answer, greeting included."""
        return [int(line[:3]) for line in self.told.splitlines() if line[3:4] != b"-"]


class Session:
    """One connection to a sink, and what the sink has taken."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.peer = Peer()
        self._protocol = SmtpSinkProtocol(lambda _at, message_id: self.taken.append(message_id))
        self._protocol.connection_made(self.peer)

    def say(self, data: bytes, *, at_once: int | None = None) -> None:
        """In pieces of `at_once` bytes."""
        step = at_once or len(data)
        for start in range(0, len(data), step):
            self._protocol.data_received(data[start : start + step])


@pytest.mark.parametrize("at_once", [None, 1, 2, 7])
def test_pipelined_mails_are_each_taken_however_they_are_cut(at_once: int | None) -> None:
    session = Session()
    two = b"EHLO me\r\n" + 2 * (ENVELOPE + MAIL + b".\r\n") + b"QUIT\r\n"
    session.say(two, at_once=at_once)
    assert session.taken == [b"one@x", b"one@x"]
    assert session.peer.codes() == [220, 250, *2 * [250, 250, 354, 250], 221]
    assert session.peer.closed


def test_a_line_that_begins_with_a_dot_does_not_end_the_mail() -> None:
    session = Session()
    session.say(b"EHLO me\r\n" + ENVELOPE + MAIL + b"..\r\n..leading\r\nQUIT\r\n")
    assert session.taken == []
    session.say(b".\r\n")
    assert session.taken == [b"one@x"]


def test_a_mail_without_a_text_ends_at_its_first_line() -> None:
    session = Session()
    session.say(b"HELO me\r\n" + ENVELOPE + b".\r\nNOOP\r\n")
    assert session.taken == [b""]
    assert session.peer.codes()[-2:] == [250, 250]


def test_a_bare_line_feed_does_not_end_a_mail() -> None:
    session = Session()
    session.say(b"EHLO me\r\n" + ENVELOPE + MAIL + b"\n.\nMAIL FROM:<x@example.com>\r\n")
    assert session.taken == []


def test_a_mail_to_nobody_is_refused() -> None:
    session = Session()
    session.say(b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nDATA\r\n")
    assert session.peer.codes()[-1] == 503


def test_recipients_do_not_outlive_their_mail() -> None:
    session = Session()
    session.say(b"EHLO me\r\n" + ENVELOPE + MAIL + b".\r\nMAIL FROM:<a@example.com>\r\nDATA\r\n")
    assert session.peer.codes()[-1] == 503


def test_an_endless_command_ends_the_connection() -> None:
    session = Session()
    session.say(b"x" * 10_000)
    assert session.peer.closed


@pytest.mark.parametrize(
    ("mail", "found"),
    [
        (b"Message-ID: <a.1@x>\r\n\r\n", b"a.1@x"),
        (b"Subject: x\r\nmessage-id:<b@x>\r\n\r\n", b"b@x"),
        (b"Message-ID:\r\n <folded@x>\r\n\r\n", b"folded@x"),
        (b"Subject: x\r\n\r\nMessage-ID: <in-the-text@x>\r\n", b""),
        (b"Subject: Message-ID: <in-a-subject@x>\r\n\r\n", b""),
        (b"Message-ID: none\r\n\r\n", b""),
    ],
)
def test_the_message_id_is_the_headers(mail: bytes, found: bytes) -> None:
    assert message_id_of(mail) == found
    assert message_id_of(b"\r\n" + mail) == found


@pytest.mark.parametrize(
    "message_id", [b"abc-1.1@x.example", b"abc-1.2.device@x.example", b"abc-1@x", b"abc-1"]
)
def test_every_run_and_target_of_a_notification_counts_as_that_notification(message_id: bytes) -> None:
    assert notification_of(message_id) == "abc-1"


def test_the_journal_is_read_by_whole_lines_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = SinkJournal(path)
    assert journal.read() == []
    path.write_bytes(b"5 a.1@x\n7 b.")
    assert [(each.at_ns, each.notification_id) for each in journal.read()] == [(5, "a")]
    with path.open("ab") as file:
        file.write(b"1@x\n")
    assert [(each.at_ns, each.notification_id) for each in journal.read()] == [(7, "b")]
    assert journal.read() == []


def test_smtp_sinks_dump_tells_each_mail(tmp_path: Path) -> None:
    path = tmp_path / "mails"
    journal = DumpJournal(path)
    mail = "X-Client-Addr: 127.0.0.1\nX-Mail-Args: <a@x>\nReceived: from x\nMessage-ID: <%s.1@x>\n\nText\n\n"
    path.write_text(mail % "one" + mail % "two" + "Message-ID: <three.1@")
    assert [each.notification_id for each in journal.read()] == ["one", "two"]
    with path.open("a") as file:
        file.write("x>\n")
    assert [each.notification_id for each in journal.read()] == ["three"]
