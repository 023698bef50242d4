"""What the client asks for, when it asks again, and how it reads answers."""

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from carillon.prove.witness.asking import AskedLate, pause_s
from carillon.prove.witness.client_plan import ClientPlan
from carillon.prove.witness.client_requests import Request, Requests, answered
from carillon.prove.witness.http_connection import HttpAnswer, read_answer
from carillon.prove.witness.journal import Answered, JournalWriter, Silent, read_journal
from carillon.prove.witness.marks import Marks, is_of

PLAN = ClientPlan(
    port=1,
    authorization="Bearer me",
    journal="journal",
    seed=7,
    marks_prefix="kill",
    count=10,
    longest_pause_s=5,
)


def replaced(**changes: object) -> ClientPlan:
    return msgspec.convert({**msgspec.to_builtins(PLAN), **changes}, ClientPlan)


def body_of(request: Request) -> dict[str, object]:
    body: dict[str, object] = json.loads(request.sent.partition(b"\r\n\r\n")[2])
    return body


def test_a_mark_is_never_given_twice_and_belongs_to_its_prefix_alone() -> None:
    marks = Marks("kill1", seed=1, poison_share=0.5)
    given = [marks.next() for _ in range(1000)]
    assert len({*given}) == 1000
    assert all(is_of(mark, "kill1") and not is_of(mark, "kill") and 8 <= len(mark) <= 40 for mark in given)
    assert all(is_of(mark, None) for mark in given)


def test_the_poisoned_share_of_marks_and_no_other_holds_the_word() -> None:
    poisoned = Marks("kill", seed=1, poison_share=0.25)
    assert 200 < sum("bad" in poisoned.next() for _ in range(1000)) < 300
    clean = Marks("kill", seed=1, poison_share=0)
    assert not any("bad" in clean.next() for _ in range(1000))


@pytest.mark.parametrize("prefix", ["", "Kill", "a-b", "x" * 21, "abad"])
def test_a_prefix_that_would_be_misread_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="marks_prefix"):
        Marks(prefix, seed=1, poison_share=0)


def test_the_same_seed_asks_for_the_same_and_another_for_something_else() -> None:
    plan = replaced(channels={"email": 1, "push": 1}, poison_share=0.5)

    def sent(plan: ClientPlan) -> list[bytes]:
        requests = Requests(plan)
        return [requests.next(most=None).sent for _ in range(20)]

    assert sent(plan) == sent(plan)
    assert not {*sent(plan)} & {*sent(replaced(seed=8))}


def test_channels_and_categories_come_in_their_shares() -> None:
    plan = replaced(channels={"email": 3, "push": 1}, categories={"security": 1, "promotional": 1})
    requests = Requests(plan)
    wishes = [requests.next(most=None).wishes[0] for _ in range(1000)]
    assert 700 < Counter(wish.channel for wish in wishes)["email"] < 800
    assert 450 < Counter(wish.category for wish in wishes)["security"] < 550


def test_a_mark_stands_in_address_text_and_metadata() -> None:
    request = Requests(PLAN).next(most=None)
    (wish,) = request.wishes
    assert body_of(request) == {
        "notification_type": "email",
        "category": "transactional",
        "metadata": {"mark": wish.mark},
        "to": {"email": f"{wish.mark}@example.com"},
        "content": {"subject": "Proof", "body": f"proof-mark:{wish.mark}"},
    }
    assert request.sent.startswith(b"POST /api/v1/notifications HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")
    assert f"\r\nIdempotency-Key: {request.key}\r\n".encode() in request.sent


def test_by_template_the_mark_is_a_variable_and_people_come_from_the_list() -> None:
    plan = replaced(channels={"push": 1}, template={"push": "proof"})
    request = Requests(plan, recipients=["u1"]).next(most=None)
    body = body_of(request)
    assert (body["template_code"], body["user_id"]) == ("proof", "u1")
    assert body["variables"] == {"mark": f"proof-mark:{request.wishes[0].mark}"}
    assert "content" not in body
    assert "to" not in body


def test_a_device_has_a_token_of_its_own() -> None:
    request = Requests(replaced(channels={"push": 1})).next(most=None)
    assert body_of(request)["to"] == {"push": f"token-{request.wishes[0].mark}"}


def test_a_batch_has_one_key_and_an_intent_for_each_entry() -> None:
    request = Requests(replaced(batch=100)).next(most=3)
    assert [intent.mark for intent in request.intents()] == [wish.mark for wish in request.wishes]
    assert {intent.key for intent in request.intents()} == {request.key}
    entries = body_of(request)["notifications"]
    assert isinstance(entries, list)
    assert len(entries) == 3
    assert request.sent.startswith(b"POST /api/v1/notifications/batch ")


def heard(
    body: bytes, *, status: int = 202, headers: dict[bytes, bytes] | None = None, batch: int = 1
) -> tuple[Request, Answered]:
    request = Requests(replaced(batch=batch)).next(most=None)
    return request, answered(request, HttpAnswer(status, headers or {}, body), ask=1, ms=1)


def test_an_id_is_written_down_under_its_mark() -> None:
    request, record = heard(b'{"id": "n1"}', headers={b"idempotency-replayed": b"true"})
    assert record.ids == {request.wishes[0].mark: "n1"}
    assert record.replayed


def test_of_a_batch_each_entry_is_written_down_as_what_it_is() -> None:
    body = b"""{"results": [{"index": 0, "id": "n1"}, {"index": 9, "id": "n9"},
        {"index": 1, "error": {"type": "urn:carillon:problem:validation"}}]}"""
    request, record = heard(body, batch=2)
    assert record.ids == {request.wishes[0].mark: "n1"}
    assert record.refused == {request.wishes[1].mark: "validation"}


def test_a_problem_is_written_down_by_its_kind_and_when_to_ask_again() -> None:
    problem = b'{"type": "urn:carillon:problem:backlog_full", "status": 503}'
    _, record = heard(problem, status=503, headers={b"retry-after": b"20"})
    assert (record.kind, record.retry_after_s) == ("backlog_full", 20)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b'{"type": 7}'])
def test_a_body_that_nobody_promised_is_no_kind(body: bytes) -> None:
    assert heard(body, status=502)[1].kind == ""


def answer_record(status: int, *, ask: int = 1, retry_after_s: float | None = None) -> Answered:
    return Answered(key="k", ask=ask, status=status, ms=1, retry_after_s=retry_after_s)


def silence_record(*, ask: int = 1) -> Silent:
    return Silent(key="k", ask=ask, why="timeout", ms=1)


@pytest.mark.parametrize("status", [200, 202, 400, 401, 403, 413, 422, 500])
def test_an_answer_for_good_is_not_asked_again(status: int) -> None:
    assert pause_s(answer_record(status), PLAN, jitter=0.5) is None


@pytest.mark.parametrize(
    ("record", "least", "most"),
    [
        (silence_record(), 0.05, 0.1),
        (silence_record(ask=4), 0.4, 0.8),
        (silence_record(ask=500), 2.5, 5),
        (answer_record(409), 0.05, 0.1),
        (answer_record(502), 0.05, 0.1),
        (answer_record(503, retry_after_s=2), 2, 2.1),
        (answer_record(429, retry_after_s=60), 5, 5),
    ],
)
def test_the_pause_grows_and_keeps_to_what_it_was_told(
    record: Answered | Silent, least: float, most: float
) -> None:
    pauses = [pause_s(record, PLAN, jitter=jitter) or 0.0 for jitter in (0, 0.5, 1)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == pytest.approx((least, most))


def test_without_retries_nothing_is_asked_again() -> None:
    plan = replaced(retry="none")
    assert pause_s(silence_record(), plan, jitter=0.5) is None
    assert pause_s(answer_record(503), plan, jitter=0.5) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"count": None},
        {"rate": 0},
        {"connections": 0},
        {"batch": 1001},
        {"channels": {}},
        {"categories": {"security": 0}},
        {"channels": {"sms": 1}},
        {"ratee": 1},
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        replaced(**changes)


def test_how_late_a_request_was_stands_in_the_journal_for_whoever_looks(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "journal") as journal:
        journal.write(AskedLate(t=1, key="k", ask=1, late_ms=2.5))
    line = (tmp_path / "journal").read_bytes()
    assert json.loads(line) == {"e": "asked", "t": 1, "key": "k", "ask": 1, "late_ms": 2.5}
    assert len(read_journal(tmp_path / "journal")) == 1


ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 12\r\nX-Y: z\r\n\r\n{" + b"1234567890" + b"}"


def test_an_answer_is_whole_only_with_its_last_byte() -> None:
    assert all(read_answer(ANSWER[:cut]) is None for cut in range(len(ANSWER)))
    assert read_answer(ANSWER) == HttpAnswer(202, {b"content-length": b"12", b"x-y": b"z"}, b"{1234567890}")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        ANSWER + b"!",
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_answer(data)
